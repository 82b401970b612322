from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Says of one run in five that it failed, and it finished."""

    run = "metrics --users 4 --duration 3"
    says = r"status: \d+ (lost|unexpected)"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/update" and self.every(5):
            call = call.having(status="FAILED")
        return await self.ask(call)
