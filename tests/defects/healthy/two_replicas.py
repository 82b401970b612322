from infra.outputs import REPLICA_HEADER
from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Has two replicas that take turns and share everything."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        answer.headers[REPLICA_HEADER] = "replica-1" if self.every(2) else "replica-2"
        return answer
