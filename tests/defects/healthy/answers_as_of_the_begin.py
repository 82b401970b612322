import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Answers each read as it was when the call came, up to 100 ms later, while others write."""

    run = "mixed --users 8 --duration 5"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.method == "GET" or call.name.endswith("/search"):
            await asyncio.sleep(0.1 if self.every(3) else 0.02)
        return answer
