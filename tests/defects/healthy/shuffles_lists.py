from tests.defects.server import Answer, Call, Server

LISTS = {"GET artifacts": "files", "GET model-versions/search": "model_versions"}


class Case(Server):
    """Lists files and versions backwards: nobody asked for an order."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if (field := LISTS.get(call.name)) and answer.status == 200:
            said = answer.json
            return answer.saying(said | {field: said.get(field, [])[::-1]})
        return answer
