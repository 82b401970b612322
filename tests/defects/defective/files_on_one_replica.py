from infra.outputs import REPLICA_HEADER
from tests.defects.server import Answer, Call, Server, error


class Case(Server):
    """Has two replicas that take turns, each with the files that were sent to it alone."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,256"
    says = r"artifact: \d+ lost|\d+ of \d+ calls failed"

    def prepare(self) -> None:
        self.kept: dict[str, str] = {}

    async def answer(self, call: Call) -> Answer:
        replica = "replica-1" if self.every(2) else "replica-2"
        if call.name == "PUT artifact":
            self.kept[call.file] = replica
        elif call.name == "GET artifact" and self.kept.get(call.file, replica) != replica:
            answer = error(404, "RESOURCE_DOES_NOT_EXIST")
        else:
            answer = await self.ask(call)
            answer.headers[REPLICA_HEADER] = replica
            return answer
        if call.name == "PUT artifact":
            answer = await self.ask(call)
        answer.headers[REPLICA_HEADER] = replica
        return answer
