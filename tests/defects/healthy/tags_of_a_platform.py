from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Shows tags of its own on the experiment, which come and go, as a platform's do."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "GET experiments/get" and self.every(2):
            said = answer.json
            tags = said["experiment"].setdefault("tags", [])
            tags.append({"key": "platform.cost", "value": str(len(tags))})
            return answer.saying(said)
        return answer
