from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Passes one creation of a run in five on twice."""

    run = "metrics --users 4 --duration 3"
    says = r"run: \d+ duplicate"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/create" and self.every(5):
            await self.ask(call)
        return await self.ask(call)
