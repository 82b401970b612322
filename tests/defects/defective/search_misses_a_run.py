from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Leaves the first run out of one search in five."""

    run = "search --users 3 --duration 4 --set runs=120"
    says = r"\d+ runs, and there are \d+"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "POST runs/search" and self.every(5):
            said = answer.json
            if runs := said.get("runs"):
                return answer.saying(said | {"runs": runs[1:]})
        return answer
