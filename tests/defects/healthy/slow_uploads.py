import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes 400 ms for an upload, as a store in another region."""

    run = "artifacts --users 2 --duration 15 --set sizes_kib=16,64"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "PUT artifact":
            await asyncio.sleep(0.4)
        return await self.ask(call)
