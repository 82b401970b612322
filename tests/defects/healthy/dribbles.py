import asyncio

from aiohttp import web

from tests.defects.server import Answer, Server


class Case(Server):
    """Sends each answer in two pieces with 30 ms between them."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    async def send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(answer.body)
        await response.prepare(request)
        await response.write(answer.body[:1])
        await asyncio.sleep(0.03)
        await response.write(answer.body[1:])
        return response
