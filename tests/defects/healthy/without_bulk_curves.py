from tests.defects.server import Answer, Call, Server, error


class Case(Server):
    """Does not know the route for many curves at once, as older servers do not."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        if "get-history-bulk" in call.path:
            return error(404, "ENDPOINT_NOT_FOUND")
        return await self.ask(call)
