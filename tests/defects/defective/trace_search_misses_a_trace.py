from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Leaves the first trace out of one search of traces in five."""

    run = "trace-search --users 3 --duration 5 --set traces=120 --set spans=4"
    says = r"\d+ traces, and there are \d+"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "POST traces/search" and self.every(5):
            said = answer.json
            if found := said.get("traces"):
                return answer.saying(said | {"traces": found[1:]})
        return answer
