from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Passes every batch of spans on twice: the same spans again are the same spans."""

    run = "traces --users 4 --rate 4 --duration 18 --set spans=2"
    says = r"Nothing lost: all \d+ acknowledged"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST v1/traces":
            await self.ask(call)
        return await self.ask(call)
