from tests.defects.server import Answer, Call, Server, error


class Case(Server):
    """Says 503 to one creation of a run before it creates anything: the next try makes the run."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    runs = 0

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/create":
            self.runs += 1
            if self.runs == 10:
                return error(503, "TEMPORARILY_UNAVAILABLE")
        return await self.ask(call)
