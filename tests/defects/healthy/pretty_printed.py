import json
from dataclasses import replace

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Writes JSON with blanks, in another order and with other escapes."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if "json" in answer.headers.get("Content-Type", "") and answer.body:
            text = json.dumps(answer.json, indent=4, sort_keys=True, ensure_ascii=True)
            return replace(answer, body=text.encode())
        return answer
