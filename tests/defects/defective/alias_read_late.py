from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Answers one question for an alias in four with what it was before: a stale cache."""

    run = "registry --users 3 --duration 4"
    says = r"alias champion is \d+, and was set to \d+|(?i:stale)"

    def prepare(self) -> None:
        self.known: dict[str, Answer] = {}

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "GET registered-models/alias" and answer.status == 200:
            before = self.known.get(call.path)
            self.known[call.path] = answer
            if before and self.every(4):
                return before
        return answer
