from dataclasses import replace

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Keeps one file in six with a bit turned over."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,256"
    says = r"artifact: \d+ (lost|unexpected)"

    async def answer(self, call: Call) -> Answer:
        if call.name == "PUT artifact" and self.every(6):
            call = replace(call, body=bytes([call.body[0] ^ 1]) + call.body[1:])
        return await self.ask(call)
