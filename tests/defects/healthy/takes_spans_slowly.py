import asyncio

from tests.defects.server import Answer, Call, Server
from tests.defects.traces import EXPORT


class Case(Server):
    """Takes a quarter of a second longer for spans than for all else."""

    run = "otlp --duration 25 --objective p95_ms=8000"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == EXPORT:
            await asyncio.sleep(0.25)
        return await self.ask(call)
