"""A light closed-loop load on the tracking API: N clients, each sending its next request at once.

Plain HTTP on one event loop, a fraction of the real client's cost, so that on a small machine the
processors are left to what is measured. No retries: what a server answers is what is counted.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

TIMEOUT = 120.0
"""Seconds after which a request counts as failed: the MLflow client's own default."""

SEEDED_RUNS = 100
"""Runs of the experiment that is searched and read: the same number for every layout, so that
a faster one does not search more."""

METRICS = 10

Call = tuple[str, str, dict[str, object] | None]
"""Method, path below /api/2.0/mlflow/, body."""

OPERATIONS = ("log-batch", "create-run", "search-runs", "get-run")


@dataclass
class Step:
    """What was seen of one operation under one number of clients."""

    operation: str
    clients: int
    seconds: float
    """How long requests were started."""
    answered: int = 0
    """Good answers that came within `seconds`."""
    latencies: list[float] = field(default_factory=list)
    """Seconds of each good answer to a request started within `seconds`, however late."""
    errors: Counter[str] = field(default_factory=Counter)
    """Failures by status code, or by the name of the exception."""


class Tracking:
    """The tracking API below one address."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session = session
        self._base = f"{address}/api/2.0/mlflow/"

    async def send(self, call: Call) -> tuple[str, bytes]:
        """Return the status, or the name of what failed, and the body."""
        method, path, body = call
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, self._base + path, data=data, headers=headers
            ) as answer:
                return str(answer.status), await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__, b""

    async def get(self, call: Call) -> dict[str, dict[str, object]]:
        """Return the decoded answer of a request that must succeed; tried for a minute."""
        deadline = time.monotonic() + 60
        while True:
            status, body = await self.send(call)
            if status == "200":
                decoded: dict[str, dict[str, object]] = json.loads(body)
                return decoded
            if time.monotonic() > deadline:
                raise RuntimeError(f"{call[1]}: {status} {body[:200]!r}")
            await asyncio.sleep(0.5)

    async def create_run(self, experiment: str) -> str:
        """Create a run and return its id."""
        run = (await self.get(create_run(experiment)))["run"]["info"]
        assert isinstance(run, dict)
        return str(run["run_id"])


@asynccontextmanager
async def tracking(address: str, token: str | None = None) -> AsyncIterator[Tracking]:
    """Open a connection pool without a limit, as so many separate clients have."""
    async with aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"} if token else None,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT),
    ) as session:
        yield Tracking(session, address)


def create_run(experiment: str) -> Call:
    """Create a run in `experiment`."""
    now = time.time_ns() // 1_000_000
    body: dict[str, object] = {"experiment_id": experiment, "start_time": now, "run_name": "load"}
    return "POST", "runs/create", body


def log_batch(run: str, step: int) -> Call:
    """Log ten metrics, one parameter, one tag.

    The parameter is the same each time: MLflow reads all of a run's at each call, so new ones
    would make a batch cost more, the more a layout had served before.
    """
    now = time.time_ns() // 1_000_000
    return (
        "POST",
        "runs/log-batch",
        {
            "run_id": run,
            "metrics": [
                {"key": f"metric-{k}", "value": step + k / 10, "timestamp": now, "step": step}
                for k in range(METRICS)
            ],
            "params": [{"key": "learning-rate", "value": "0.1"}],
            "tags": [{"key": "progress", "value": str(step)}],
        },
    )


async def seed(address: str) -> tuple[str, list[str]]:
    """Make an experiment with `SEEDED_RUNS` runs; return its id and theirs."""
    async with tracking(address) as api:
        call: Call = ("POST", "experiments/create", {"name": "seeded"})
        experiment = str((await api.get(call))["experiment_id"])
        free = asyncio.Semaphore(4)

        async def seeded_run() -> str:
            async with free:
                run = await api.create_run(experiment)
                await api.get(log_batch(run, 0))
                return run

        return experiment, await asyncio.gather(*(seeded_run() for _ in range(SEEDED_RUNS)))


async def load(
    address: str,
    operation: str,
    clients: int,
    seconds: float,
    seeded: tuple[str, list[str]],
    token: str | None = None,
) -> Step:
    """Let `clients` repeat `operation` for `seconds` and wait for the last answers."""
    experiment, runs = seeded
    step = Step(operation, clients, seconds)
    async with tracking(address, token) as api:
        own: list[str] = []
        if operation == "log-batch":
            free = asyncio.Semaphore(4)

            async def new_run() -> str:
                async with free:
                    return await api.create_run("0")

            own = await asyncio.gather(*(new_run() for _ in range(clients)))
        makers: dict[str, Callable[[int, int], Call]] = {
            "log-batch": lambda client, number: log_batch(own[client], number),
            "create-run": lambda client, number: create_run("0"),
            "search-runs": lambda client, number: (
                "POST",
                "runs/search",
                {
                    "experiment_ids": [experiment],
                    "filter": "metrics.`metric-1` > 0",
                    "order_by": ["metrics.`metric-2` DESC"],
                    "max_results": 20,
                },
            ),
            "get-run": lambda client, number: (
                "GET",
                f"runs/get?run_id={runs[(client + number) % len(runs)]}",
                None,
            ),
        }
        make = makers[operation]
        end = time.monotonic() + seconds

        async def client(index: int) -> None:
            number = 0
            while (start := time.monotonic()) < end:
                status, _ = await api.send(make(index, number))
                done = time.monotonic()
                if status == "200":
                    step.latencies.append(done - start)
                    step.answered += done < end
                else:
                    step.errors[status] += 1
                    # A refusal that comes at once must not turn the clients into a flood.
                    await asyncio.sleep(0.1)
                number += 1

        await asyncio.gather(*(client(index) for index in range(clients)))
    return step


async def settle(address: str, limit: float = 180, token: str | None = None) -> None:
    """Wait until the servers have worked off what a step left: five quick answers in a row.

    Raises `RuntimeError` after `limit` seconds.
    """
    deadline = time.monotonic() + limit
    quick = 0
    async with tracking(address, token) as api:
        while quick < 5:
            start = time.monotonic()
            status, _ = await api.send(("GET", "experiments/get?experiment_id=0", None))
            taken = time.monotonic() - start
            quick = quick + 1 if status == "200" and taken < 0.5 else 0
            if time.monotonic() > deadline:
                raise RuntimeError(f"the servers did not recover within {limit:.0f} s: {status}")
            await asyncio.sleep(0.1)
