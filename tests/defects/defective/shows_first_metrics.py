from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Shows of each metric the first value instead of the latest; the curves are right."""

    run = "metrics --users 4 --duration 3"
    says = r"(?i)latest|reads were stale"

    def prepare(self) -> None:
        self.first: dict[str, list[object]] = {}

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch" and (logged := call.json.get("metrics")):
            self.first.setdefault(call.json["run_id"], logged)
        answer = await self.ask(call)
        if call.name in ("GET runs/get", "POST runs/search") and answer.status == 200:
            said = answer.json
            for run in [said["run"]] if "run" in said else said.get("runs", []):
                if first := self.first.get(run["info"]["run_id"]):
                    run["data"]["metrics"] = first
            return answer.saying(said)
        return answer
