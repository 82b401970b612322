from tests.defects.server import Answer, Call, Server, answer


class Case(Server):
    """Acknowledges one upload in six and keeps nothing of it."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,256"
    says = r"artifact: \d+ lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "PUT artifact" and self.every(6):
            return answer({})
        return await self.ask(call)
