import json

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Leaves out the last of an evaluation data set's records."""

    run = "agents --users 2 --duration 4 --set questions=1"
    says = r"evaluation record: \d+ lost|records, and there are"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST datasets/{id}/records":
            records = json.loads(call.json["records"])
            if len(records) > 1:
                call = call.having(records=json.dumps(records[:-1]))
        return await self.ask(call)
