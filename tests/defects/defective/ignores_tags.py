from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Leaves out the tags of a batch."""

    run = "metrics --users 4 --duration 3"
    says = r"tag: \d+ lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch":
            call = call.having(tags=[])
        return await self.ask(call)
