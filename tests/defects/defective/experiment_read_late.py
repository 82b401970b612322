from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Answers each second look at the experiment with what it was at first: a stale cache."""

    run = "mixed --users 4 --duration 5"
    says = r"\d+ of \d+ reads were stale.*tag last of user \d of \d+"

    def prepare(self) -> None:
        self.known: dict[str, Answer] = {}

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "GET experiments/get":
            first = self.known.setdefault(call.path, answer)
            return first if self.every(2) else answer
        return answer
