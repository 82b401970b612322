from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Gives the first page of results again where the second one is asked for."""

    run = "search --users 3 --duration 4 --set runs=200"
    says = r"page 2: \d+ are those of page 1"

    async def answer(self, call: Call) -> Answer:
        asked = call.json if call.name == "POST runs/search" else {}
        if asked.get("page_token") and asked["max_results"] == 100:  # not the one that reads back
            call = call.having(page_token="")
        return await self.ask(call)
