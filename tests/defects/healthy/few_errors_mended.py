from tests.defects.server import Answer, Call, Server, error


class Case(Server):
    """Says 503 once in the whole run; the client's next try is answered well."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    calls = 0

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch":
            self.calls += 1
            if self.calls == 250:
                return error(503, "TEMPORARILY_UNAVAILABLE")
        return await self.ask(call)
