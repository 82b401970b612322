from aiohttp import web

from tests.defects.server import Answer, Server


class Case(Server):
    """Closes the connection in the middle of one large download in three."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,256"
    says = r"\d+ of \d+ steps failed although their calls did not"

    async def send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        if request.method != "GET" or len(answer.body) < 100_000 or not self.every(3):
            return await super().send(request, answer)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(answer.body)
        await response.prepare(request)
        await response.write(answer.body[: len(answer.body) // 2])
        if request.transport:
            request.transport.close()
        return response
