from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Answers one download in six with the file that was asked for before."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,256"
    says = r"SHA-256 is|artifact: \d+ (lost|unexpected)"

    def prepare(self) -> None:
        self.before: Answer | None = None

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "GET artifact":
            before, self.before = self.before, answer
            if before and self.every(6):
                return before
        return answer
