from dataclasses import replace

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Lists a model's versions in pages of two, whatever was asked for."""

    run = "registry --users 3 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "GET model-versions/search":
            call = replace(call, path=call.path.replace("max_results=", "was=") + "&max_results=2")
        return await self.ask(call)
