import random

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Gives the spans of a trace that is read in another order each time, as it is free to."""

    run = "mixed --users 4 --duration 6 --set traces=0.6 --set spans=5"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        got = await self.ask(call)
        if call.name == "GET traces/get" and got.status == 200:
            trace = got.json["trace"]
            spans = random.sample(trace["spans"], len(trace["spans"]))
            return got.saying({"trace": trace | {"spans": spans}})
        return got
