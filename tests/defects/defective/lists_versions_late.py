from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Leaves the newest version out of one list of a model's versions in three: an old index."""

    run = "registry --users 3 --duration 4"
    says = r"\d+ of \d+ reads were stale.*the list of versions of \S+, .*: without "

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        if call.name == "GET model-versions/search" and self.every(3):
            said = answer.json
            if versions := said.get("model_versions"):
                newest = max(versions, key=lambda version: int(version["version"]))
                return answer.saying({"model_versions": [v for v in versions if v != newest]})
        return answer
