from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Answers one download in three of a file that was overwritten with what it was before."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,32"
    says = r"\d+ of \d+ reads were stale.*artifact latest.bin of "

    def prepare(self) -> None:
        self.known: dict[str, Answer] = {}

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "GET artifact" and call.file.endswith("/latest.bin"):
            before, self.known[call.file] = self.known.get(call.file), answer
            if before and self.every(3):
                return before
        return answer
