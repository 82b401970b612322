import json
import random

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Gives assessments of a trace and records of a data set in any order, as it is free to."""

    run = "agents --users 2 --duration 4"
    says = "Nothing lost"

    def prepare(self) -> None:
        self._random = random.Random(1)

    async def answer(self, call: Call) -> Answer:
        found = await self.ask(call)
        if found.status != 200:
            return found
        match call.name:
            case "GET traces/{id}":
                said = found.json
                self._random.shuffle(said["trace"]["trace_info"].get("assessments", []))
                return found.saying(said)
            case "GET datasets/{id}/records":
                records = json.loads(found.json["records"])
                self._random.shuffle(records)
                return found.saying(found.json | {"records": json.dumps(records)})
        return found
