import gzip
from dataclasses import replace

from multidict import CIMultiDict

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Compresses every answer, files too."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        headers = CIMultiDict(answer.headers)
        headers["Content-Encoding"] = "gzip"
        return replace(answer, body=gzip.compress(answer.body, 1), headers=headers)
