from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Keeps all of a batch but its seventh metric."""

    run = "metrics --users 4 --duration 3"
    says = r"metric point: \d+ lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch":
            metrics = call.json.get("metrics", [])
            call = call.having(metrics=metrics[:6] + metrics[7:])
        return await self.ask(call)
