from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Answers a look at a run with what it knew before the run was logged to: a stale cache."""

    run = "metrics --users 4 --duration 3"
    says = r"\d+ of \d+ reads were stale"

    def prepare(self) -> None:
        self.known: dict[str, Answer] = {}

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "POST runs/create":
            self.known[answer.json["run"]["info"]["run_id"]] = answer
        if call.name == "GET runs/get" and self.every(4):
            return self.known.get(call.query["run_id"], answer)
        return answer
