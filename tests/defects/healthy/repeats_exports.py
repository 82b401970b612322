from tests.defects.server import Answer, Call, Server
from tests.defects.traces import EXPORT


class Case(Server):
    """Stores one export in three twice, as after a lost answer: nothing is there twice."""

    run = "otlp --duration 25 --objective p95_ms=8000"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == EXPORT and self.every(3):
            await self.ask(call)
        return await self.ask(call)
