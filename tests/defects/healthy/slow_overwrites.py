import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Acknowledges a file that was overwritten only 200 ms after it is there."""

    run = "artifacts --users 3 --duration 4 --set sizes_kib=16,32"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "PUT artifact" and call.file.endswith("/latest.bin"):
            await asyncio.sleep(0.2)
        return answer
