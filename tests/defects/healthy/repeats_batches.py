from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Passes every batch on twice: the same points again are the same points."""

    run = "metrics --users 4 --duration 4 --objective min_rate=5"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch":
            await self.ask(call)
        return await self.ask(call)
