from dataclasses import replace

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Sends 200 KB of blanks with each look at a run or a search."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name in ("GET runs/get", "POST runs/search"):
            return replace(answer, body=answer.body + b" " * 200_000)
        return answer
