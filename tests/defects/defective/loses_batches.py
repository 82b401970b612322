from tests.defects.server import DONE, Answer, Call, Server


class Case(Server):
    """Acknowledges one batch in twenty and does not keep it."""

    run = "metrics --users 4 --duration 3"
    says = r"metric point: \d+ lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch" and self.every(20):
            return DONE
        return await self.ask(call)
