from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Counts one trace too many in a chart, as a rollup does that was built twice."""

    run = "trace-search --users 3 --duration 5 --set traces=120 --set spans=4"
    says = r"traces a day: .*, and there are"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "POST traces/metrics" and call.json.get("time_interval_seconds"):
            said = answer.json
            for point in said.get("data_points", [])[:1]:
                point["values"]["COUNT"] += 1
            return answer.saying(said)
        return answer
