from tests.defects.server import DONE, Answer, Call, Server


class Case(Server):
    """Makes runs twice, and acknowledges their deletion without deleting."""

    run = "metrics --users 4 --duration 3 --reconcile"
    says = r"run: \d+ duplicate"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/delete":
            return DONE
        if call.name == "POST runs/create" and self.every(5):
            await self.ask(call)
        return await self.ask(call)
