from tests.defects.server import Answer, Call, Server, error


class Case(Server):
    """Answers one call in ten with status 500; the client's next try is answered well."""

    run = "metrics --users 4 --duration 4"
    says = r"\d+ of \d+ calls had to be sent again"

    async def answer(self, call: Call) -> Answer:
        if call.name != "POST experiments/create" and self.every(10):
            return error(500)
        return await self.ask(call)
