from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Answers one creation of a run in five with the id of another user's."""

    run = "metrics --users 4 --duration 3"
    says = r"run: \d+ (lost|duplicate)"

    def prepare(self) -> None:
        self.before: Answer | None = None

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "POST runs/create":
            before, self.before = self.before, answer
            if before and self.every(5):
                return before
        return answer
