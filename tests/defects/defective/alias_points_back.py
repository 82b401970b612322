from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Lets an alias point to the version before the one that it was set to."""

    run = "registry --users 3 --duration 4"
    says = r"model alias: \d+ (lost|unexpected)|alias champion is"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST registered-models/alias" and int(call.json["version"]) > 1:
            call = call.having(version=str(int(call.json["version"]) - 1))
        return await self.ask(call)
