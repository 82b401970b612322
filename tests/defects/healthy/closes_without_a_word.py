import asyncio

from aiohttp import web

from tests.defects.server import Answer, Server


class Case(Server):
    """Closes one connection in sixty soon after an answer, as at the end of a keep-alive time."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    async def send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if self.every(60) and request.transport:
            asyncio.get_running_loop().call_later(0.0005, request.transport.close)
        return await super().send(request, answer)
