from aiohttp import web

from tests.defects.server import Answer, Call, Server

LOST = Answer(0, b"")


class Case(Server):
    """Creates a run and drops the connection instead of answering: the client tries again."""

    run = "metrics --users 4 --duration 3"
    says = r"run: \d+ duplicate"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        return LOST if call.name == "POST runs/create" and self.every(5) else answer

    async def send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if answer is LOST and request.transport:
            request.transport.abort()
        return await super().send(request, answer if answer.status else Answer(200, b""))
