import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Hangs for 5 s in one batch of sixty, and is quick in all others."""

    run = (
        "metrics --users 12 --duration 20 --objective p95_ms=4000"
        " --objective 'POST runs/log-batch:p99_ms=4000'"
    )
    says = r"POST runs/log-batch: p99"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch" and self.every(60):
            await asyncio.sleep(5)
        return await self.ask(call)
