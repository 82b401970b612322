from multidict import CIMultiDict

from tests.defects.server import Answer, Call, Server

PAGE = Answer(200, b"<html>Please log in</html>", CIMultiDict({"Content-Type": "text/html"}))


class Case(Server):
    """Answers one look at a run in four with status 200 and a page to log in at."""

    run = "metrics --users 4 --duration 3"
    says = r"answers were wrong.*runs/get"

    async def answer(self, call: Call) -> Answer:
        if call.name == "GET runs/get" and self.every(4):
            return PAGE
        return await self.ask(call)
