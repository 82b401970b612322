import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes 2 s longer for each batch of one run in twenty-five, as where one shard is slow."""

    run = (
        "metrics --users 12 --duration 20 --objective p95_ms=1900"
        " --objective 'POST runs/log-batch:p99_ms=1900'"
    )
    says = r"POST runs/log-batch: p99"

    def prepare(self) -> None:
        self.slow: set[str] = set()

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "POST runs/create" and self.every(25):
            self.slow.add(answer.json["run"]["info"]["run_id"])
        if call.name == "POST runs/log-batch" and call.json["run_id"] in self.slow:
            await asyncio.sleep(2)
        return answer
