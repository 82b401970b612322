from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Passes one assessment in five on twice."""

    run = "agents --users 2 --duration 4"
    says = r"assessment: \d+ duplicate|its assessments are"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST traces/{id}/assessments" and self.every(5):
            await self.ask(call)
        return await self.ask(call)
