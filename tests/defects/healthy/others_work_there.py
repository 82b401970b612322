import asyncio
import secrets

from tests.defects.server import Server


class Case(Server):
    """Has other people's experiments, runs and models, which come while the load goes on."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"

    async def beside(self) -> None:
        made = await self.post("experiments/create", name=f"others {secrets.token_hex(4)}")
        while True:
            run = await self.post("runs/create", experiment_id=made["experiment_id"])
            run_id = run["run"]["info"]["run_id"]
            await self.post("runs/log-metric", run_id=run_id, key="loss", value=1, timestamp=1)
            await self.post("registered-models/create", name=f"others {secrets.token_hex(8)}")
            await asyncio.sleep(0.2)

    async def post(self, route: str, **body: object) -> dict:  # type: ignore[type-arg]
        url = f"{self.upstream}/api/2.0/mlflow/{route}"
        async with self.session.post(url, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()  # type: ignore[no-any-return]
