from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Gives the first version of a prompt by its alias, whichever that names."""

    run = "agents --users 2 --duration 4 --set questions=1"
    says = r"@production is version 1, and was set to \d+"

    def prepare(self) -> None:
        self._first: dict[str, Answer] = {}

    async def answer(self, call: Call) -> Answer:
        found = await self.ask(call)
        if call.name == "GET registered-models/alias" and found.status == 200:
            return self._first.setdefault(call.query["name"], found)
        return found
