from tests.defects.server import DONE, Answer, Call, Server


class Case(Server):
    """Keeps the first value of a tag, whatever is written later."""

    run = "search --users 3 --duration 4 --set runs=120"
    says = r"tag: \d+ lost"

    def prepare(self) -> None:
        self.written: set[tuple[str, str]] = set()

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/set-tag":
            place = call.json["run_id"], call.json["key"]
            if place in self.written:
                return DONE
            self.written.add(place)
        return await self.ask(call)
