import asyncio

from multidict import CIMultiDict

from tests.defects.server import Answer, Call, Server, error

KEPT = Answer(200, b"", CIMultiDict({"Content-Type": "application/x-protobuf"}))
SYNC_S = 1.0
RESTART_AT_S, AWAY_S = 9, 1.0


class Case(Server):
    """Acknowledges spans before they are stored, once a second; a restart forgets the others."""

    run = (
        "resilience --users 32 --rate 20 --duration 4 --fault noop --set traces=0.6 "
        "--set fault_s=2 --set recovery_s=4 --set patience_s=12"
    )
    says = r"span: \d+ lost"

    def prepare(self) -> None:
        self.cached: list[Call] = []
        self.away = False

    async def answer(self, call: Call) -> Answer:
        if self.away:
            return error(503, "TEMPORARILY_UNAVAILABLE")
        if call.name == "POST v1/traces":
            self.cached.append(call)
            return KEPT
        return await self.ask(call)

    async def beside(self) -> None:
        while not self.cached:
            await asyncio.sleep(0.1)
        since = 0
        while True:
            await asyncio.sleep(SYNC_S)
            since += 1
            cached, self.cached = self.cached, []
            if since == RESTART_AT_S:
                self.away = True
                await asyncio.sleep(AWAY_S)
                self.away = False
                continue
            for call in cached:
                await self.ask(call)
