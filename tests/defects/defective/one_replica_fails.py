from infra.outputs import REPLICA_HEADER
from tests.defects.server import Answer, Call, Server, error


class Case(Server):
    """Has three replicas that take turns; one of them cannot reach the artifact store."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,256"
    says = r"\d+ of \d+ calls failed"

    async def answer(self, call: Call) -> Answer:
        broken = self.every(3)
        found = call.name.endswith("artifact") and broken
        answer = error(501) if found else await self.ask(call)
        answer.headers[REPLICA_HEADER] = "replica-3" if broken else "replica-1"
        return answer
