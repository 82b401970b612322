import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Removes one run in five, half a second after it has ended."""

    run = "metrics --users 4 --duration 3"
    says = r"First: lost: (run|field lifecycle_stage = active of run) "

    def prepare(self) -> None:
        self.ended: list[Call] = []

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/update" and self.every(5):
            path = call.path.replace("runs/update", "runs/delete")
            body = b'{"run_id": "%s"}' % call.json["run_id"].encode()
            self.ended.append(Call("POST", path, call.headers, body))
        return await self.ask(call)

    async def beside(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            while self.ended:
                await self.ask(self.ended.pop())
