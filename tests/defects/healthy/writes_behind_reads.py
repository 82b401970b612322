import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Lets a read wait until the writes that came before it are done."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"

    def prepare(self) -> None:
        self.writing: set[asyncio.Future[Answer]] = set()

    async def answer(self, call: Call) -> Answer:
        if call.method == "GET":
            if self.writing:
                await asyncio.wait(set(self.writing))
            return await self.ask(call)
        task = asyncio.ensure_future(self.ask(call))
        self.writing.add(task)
        task.add_done_callback(self.writing.discard)
        return await task
