from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Adds fifty headers, some of them twice, and cookies."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        answer = await self.ask(call)
        for number in range(25):
            answer.headers.add(f"X-Trace-{number}", "a" * 40)
            answer.headers.add(f"X-Trace-{number}", "b" * 40)
        answer.headers.add("Set-Cookie", "session=1; Path=/")
        answer.headers.add("Set-Cookie", "session=2; Path=/")
        return answer
