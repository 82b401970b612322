import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes 3.5 s for a download, which is one call in forty, and is quick in all others."""

    run = "mixed --users 8 --duration 10"
    says = r"GET artifact"

    async def answer(self, call: Call) -> Answer:
        if call.name == "GET artifact":
            await asyncio.sleep(3.5)
        return await self.ask(call)
