from tests.defects.server import Answer, Call, Server, answer
from tests.defects.traces import EXPORT


class Case(Server):
    """Acknowledges an export before it has stored it, and never stores one in five."""

    run = "otlp --duration 5"
    says = r"trace: \d+ lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == EXPORT and self.every(5):
            return answer({})
        return await self.ask(call)
