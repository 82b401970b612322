from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Keeps the first ten characters of a parameter."""

    run = "metrics --users 4 --duration 3"
    says = r"param: \d+ (lost|unexpected)"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch":
            params = call.json.get("params", [])
            call = call.having(params=[p | {"value": p["value"][:10]} for p in params])
        return await self.ask(call)
