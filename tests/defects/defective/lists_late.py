from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Answers one list of a run's files in three with what it was before: a stale cache."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,32"
    says = r"\d+ of \d+ reads were stale.*the list of files of \w+.*: without "

    def prepare(self) -> None:
        self.known: dict[str, Answer] = {}

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "GET artifacts" and answer.json.get("files"):
            before, self.known[call.path] = self.known.get(call.path), answer
            if before and self.every(3):
                return before
        return answer
