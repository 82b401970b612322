from tests.defects.server import Answer, Call, Server

HOUR_MS = 3_600_000


class Case(Server):
    """Keeps the end of a run an hour late, as a mix-up of time zones does."""

    run = "metrics --users 4 --duration 3"
    says = r"end_time"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/update" and "end_time" in call.json:
            call = call.having(end_time=call.json["end_time"] + HOUR_MS)
        return await self.ask(call)
