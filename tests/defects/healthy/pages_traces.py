from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Shows traces in pages of seven, whatever was asked for."""

    run = "otlp --duration 25"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST traces/search":
            call = call.having(max_results=7)
        return await self.ask(call)
