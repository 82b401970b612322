from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Says more than this client knows of, as a newer server does."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name in ("GET runs/get", "POST runs/search", "POST runs/create"):
            return answer.saying(answer.json | {"since_mlflow_9": {"yes": [1, 2, 3]}})
        return answer
