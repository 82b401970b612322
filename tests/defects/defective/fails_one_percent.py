from tests.defects.server import Answer, Call, Server, error


class Case(Server):
    """Refuses one batch in a hundred with status 400, as a full connection pool does."""

    run = "metrics --users 4 --duration 4"
    says = r"\d+ of \d+ calls failed"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch" and self.every(100):
            return error(400, "BAD_REQUEST")
        return await self.ask(call)
