from aiohttp import web

from tests.defects.server import Server


class Case(Server):
    """Sends every call on to another path with status 307."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/api/"):
            return web.Response(status=307, headers={"Location": f"/moved{request.raw_path}"})
        request = request.clone(rel_url=request.raw_path.removeprefix("/moved"))
        return await super().handle(request)
