from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Keeps metrics as single-precision numbers would be: with seven digits."""

    run = "metrics --users 4 --duration 3"
    says = r"metric point: \d+ (lost|unexpected)"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch":
            metrics = call.json.get("metrics", [])
            call = call.having(metrics=[m | {"value": round(m["value"], 7)} for m in metrics])
        return await self.ask(call)
