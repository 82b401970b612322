import asyncio

from tests.defects.server import DONE, Answer, Call, Server


class Case(Server):
    """Answers before it has committed, and drops what no connection is free for."""

    run = "metrics --users 4 --duration 3"
    says = r"metric point: \d+ lost"

    CONNECTIONS = 2

    def prepare(self) -> None:
        self.tasks: set[asyncio.Task[Answer]] = set()

    async def answer(self, call: Call) -> Answer:
        if call.name != "POST runs/log-batch":
            return await self.ask(call)
        if len(self.tasks) < self.CONNECTIONS:
            task = asyncio.create_task(self.ask(call))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        return DONE
