from aiohttp import web

from tests.defects.server import Answer, Call, Server

DROPPED = Answer(0, b"")


class Case(Server):
    """Drops one connection in twenty before it does what is asked; the client tries again."""

    run = "metrics --users 4 --duration 4"
    says = r"\d+ of \d+ calls had to be sent again"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch" and self.every(20):
            return DROPPED
        return await self.ask(call)

    async def send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if answer is DROPPED and request.transport:
            request.transport.abort()
        return await super().send(request, answer if answer.status else Answer(200, b""))
