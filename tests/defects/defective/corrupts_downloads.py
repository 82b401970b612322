from dataclasses import replace

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Turns a bit over in one download of six; what is stored is right."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,256"
    says = r"SHA-256 is|artifact: \d+ (lost|unexpected)"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "GET artifact" and self.every(6):
            return replace(answer, body=bytes([answer.body[0] ^ 1]) + answer.body[1:])
        return answer
