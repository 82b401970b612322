from aiohttp import web

from tests.defects.server import Answer, Server


class Case(Server):
    """Speaks HTTP 1.0: the end of a body is the end of its connection."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    async def send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        assert request.transport
        lines = [f"HTTP/1.0 {answer.status} Said"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        head = "\r\n".join(lines) + "\r\nConnection: close\r\n\r\n"
        request.transport.write(head.encode() + answer.body)
        request.transport.close()
        return web.Response()
