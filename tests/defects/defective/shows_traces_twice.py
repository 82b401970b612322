from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Shows the first trace of a page twice."""

    run = "otlp --duration 5"
    says = r"trace: \d+ duplicate"

    async def answer(self, call: Call) -> Answer:
        got = await self.ask(call)
        if call.name == "POST traces/search" and got.status == 200:
            traces = got.json.get("traces", [])
            return got.saying(got.json | {"traces": [*traces[:1], *traces]})
        return got
