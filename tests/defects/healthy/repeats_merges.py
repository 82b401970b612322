from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Passes each merge of evaluation records on twice, which changes nothing."""

    run = "agents --users 2 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST datasets/{id}/records":
            await self.ask(call)
        return await self.ask(call)
