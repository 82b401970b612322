from typing import ClassVar

from tests.defects.server import Answer, Call, Server, error


class Case(Server):
    """Answers only who shows a token."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"
    environment: ClassVar = {"MLFLOW_TRACKING_TOKEN": "the-token-of-the-test"}

    async def answer(self, call: Call) -> Answer:
        if call.headers.get("Authorization") != "Bearer the-token-of-the-test":
            return error(401, "UNAUTHENTICATED")
        return await self.ask(call)
