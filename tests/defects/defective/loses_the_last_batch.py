from tests.defects.server import DONE, Answer, Call, Server


class Case(Server):
    """Writes a batch when the next one comes, and forgets the one that waits when the run ends."""

    run = "metrics --users 4 --duration 3"
    says = r"metric point: \d+ lost"

    def prepare(self) -> None:
        self.waiting: dict[str, Call] = {}

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch":
            before = self.waiting.pop(call.json["run_id"], None)
            self.waiting[call.json["run_id"]] = call
            return await self.ask(before) if before else DONE
        if call.name == "POST runs/update":
            self.waiting.pop(call.json["run_id"], None)
        return await self.ask(call)
