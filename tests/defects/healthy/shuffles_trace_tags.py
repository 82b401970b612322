import random
from typing import Any

from tests.defects.server import Answer, Call, Server

TAGS = ("tags", "trace_metadata")


def shuffled(trace: dict[str, Any]) -> dict[str, Any]:
    """The trace with what it is tagged with in another order."""
    found = {name: list(trace.get(name, {}).items()) for name in TAGS}
    for pairs in found.values():
        random.shuffle(pairs)
    return trace | {name: dict(pairs) for name, pairs in found.items()}


class Case(Server):
    """Gives the tags and metadata of a trace in another order each time."""

    run = "otlp --duration 25"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        got = await self.ask(call)
        if call.name == "POST traces/search" and got.status == 200:
            return got.saying(got.json | {"traces": [*map(shuffled, got.json.get("traces", []))]})
        return got
