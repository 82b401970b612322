from aiohttp import web

from tests.defects.server import Answer, Server


class Case(Server):
    """Sends answers in chunks, without their length."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"

    async def send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        for at in range(0, len(answer.body), 1000):
            await response.write(answer.body[at : at + 1000])
        await response.write_eof()
        return response
