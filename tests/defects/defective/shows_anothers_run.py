from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Answers one look at a run in four with the run that somebody else looked at before."""

    run = "metrics --users 4 --duration 3"
    says = r"run \w+ was asked for, and another run came"

    def prepare(self) -> None:
        self.before: Answer | None = None

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "GET runs/get":
            before, self.before = self.before, answer
            if before and self.every(4):
                return before
        return answer
