from aiohttp import web

from tests.defects.server import Answer, Server


class Case(Server):
    """Closes the connection after each answer, and says so."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    async def send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        response = await super().send(request, answer)
        response.force_close()
        return response
