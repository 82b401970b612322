from email.utils import formatdate
from time import time

from tests.defects.server import Answer, Call, Server

HOUR_S = 3600


class Case(Server):
    """Has a clock that is an hour late, in headers and in the times of versions."""

    run = "registry --users 3 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        answer.headers["Date"] = formatdate(time() - HOUR_S, usegmt=True)
        if call.name == "POST model-versions/create" and answer.status == 200:
            said = answer.json
            for name in ("creation_timestamp", "last_updated_timestamp"):
                said["model_version"][name] -= HOUR_S * 1000
            return answer.saying(said)
        return answer
