from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes feedback that overrides other feedback as one more, and leaves the other valid."""

    run = "agents --users 2 --duration 4"
    says = r"field: \d+ lost|assessment a-\w+ is \('relevance', .*, True\), and was"

    async def answer(self, call: Call) -> Answer:
        if call.name != "POST traces/{id}/assessments":
            return await self.ask(call)
        overridden = call.json["assessment"].get("overrides")
        kept = {k: v for k, v in call.json["assessment"].items() if k != "overrides"}
        found = await self.ask(call.having(assessment=kept))
        if not overridden:
            return found
        return found.saying({"assessment": found.json["assessment"] | {"overrides": overridden}})
