import re

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Finds the right number of runs, of the wrong team."""

    run = "search --users 3 --duration 8 --set runs=120"
    says = r"\d+ wrong runs of \d+"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/search" and "tags.team" in call.json.get("filter", ""):

            def other(found: re.Match[str]) -> str:
                return f"team-{(int(found[1]) + 3) % 10}"

            call = call.having(filter=re.sub(r"team-(\d)", other, call.json["filter"]))
        return await self.ask(call)
