from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Leaves the last file out of a list of more than one."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,256"
    says = r"artifact: \d+ lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "GET artifacts" and len(files := answer.json.get("files", [])) > 1:
            return answer.saying({"files": files[:-1]})
        return answer
