"""What it costs to ask who a client is: the same load on servers with and without users.

    python -m scripts.benchmarks.users [--seconds 6] [--rounds 2] [--clients 8]

Five servers on one database, of which one at a time has the load, in turns, by a user who may edit
the experiment: without users; with them as a stack has them; the same, but comparing the password
at each request; and MLflow's own `basic-auth`, with its cache off, as it comes, and on. Printed are
calls a second and milliseconds, and their ratios to the server without users in the same run.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import requests

from infra.components.users import SETTINGS_FILE
from infra.image.build import build
from scripts.benchmarks.tracking_load import Step, load, seed, settle
from tests.images.sandbox import Postgres, Sandbox, opened, wait_until
from tests.images.users import ADMIN, SERVER_KEY, ServersWithUsers

USER, USER_PASSWORD = "edgar", "of-one-of-the-users"
OPERATIONS = ("log-batch", "get-run")
READY_SECONDS = 300
CACHE_SECONDS = 60


class Servers:
    """The servers by what they do, and their addresses with the user's password."""

    def __init__(self, sandbox: Sandbox, image: str, folder: Path) -> None:
        self._sandbox, self._image, self._folder = sandbox, image, folder
        stack = ServersWithUsers(sandbox, image, "postgres", folder)
        self._stack = stack
        self._server = stack.server
        compares = {"MLFLOW_BENCH_REMEMBERED_PASSWORDS": "0"}
        self.addresses = {
            "without users": self._start(replace(self._server, users=None).environment()),
            "users of a stack": stack.url(),
            "compares each time": self._start(self._server.environment() | compares),
            "mlflow, cache off": self._start(self._mlflow(), own=True, cache=0),
            "mlflow, cache on": self._start(self._mlflow(), own=True, cache=CACHE_SECONDS),
        }
        for address in self.addresses.values():
            wait_until(partial(_lives, address), READY_SECONDS, address)
        self._make_user(stack.url())
        named = f"http://{USER}:{USER_PASSWORD}@"
        for name, address in self.addresses.items():
            if name != "without users":
                self.addresses[name] = address.replace("http://", named)

    def _mlflow(self) -> dict[str, str]:
        own = {"MLFLOW_FLASK_SERVER_SECRET_KEY": SERVER_KEY}
        return self._server.environment() | own | {"_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "true"}

    def _start(self, environment: Mapping[str, str], *, own: bool = False, cache: int = 0) -> str:
        command = self._server.command()
        volumes = self._stack.volumes()
        if own:
            command = [part.replace("=mlflow-bench", "=basic-auth") for part in command]
            settings = self._folder / f"cache-{cache}.ini"
            (content,) = self._server.files().values()
            settings.write_text(f"{content}auth_cache_ttl_seconds = {cache}\n")
            volumes = [one for one in volumes if not one.endswith(f":{SETTINGS_FILE}:ro")]
            volumes.append(f"{settings}:{SETTINGS_FILE}:ro")
        container = self._sandbox.run(
            self._image,
            command,
            environment=dict(environment),
            volumes=volumes,
            ports={"5000/tcp": ("127.0.0.1", None)},
        )
        container.reload()
        published: Any = container.ports
        return f"http://127.0.0.1:{published['5000/tcp'][0]['HostPort']}"

    def _make_user(self, url: str) -> None:
        grant = {"username": USER, "resource_type": "experiment", "resource_id": "0"}
        for path, body in (
            ("2.0/mlflow/users/create", {"username": USER, "password": USER_PASSWORD}),
            ("3.0/mlflow/users/permissions/grant", grant | {"permission": "EDIT"}),
        ):
            requests.post(f"{url}/api/{path}", json=body, auth=ADMIN, timeout=60).raise_for_status()


def _lives(address: str) -> bool:
    try:
        return requests.get(f"{address}/health", timeout=5).ok
    except requests.RequestException:
        return False


async def measure(
    addresses: Mapping[str, str], seconds: float, rounds: int, clients: int
) -> dict[tuple[str, str], list[Step]]:
    """Give each server the load in turns; return what was seen, by operation and server."""
    seeded = await seed(addresses["users of a stack"])
    steps: dict[tuple[str, str], list[Step]] = {}
    for number in range(rounds):
        for operation in OPERATIONS:
            names = list(addresses)
            # Nobody is always the first.
            for name in names[number:] + names[:number]:
                await settle(addresses[name])
                step = await load(addresses[name], operation, clients, seconds, seeded)
                if step.errors:
                    raise RuntimeError(f"{name}, {operation}: {dict(step.errors)}")
                steps.setdefault((operation, name), []).append(step)
    return steps


def table(steps: Mapping[tuple[str, str], Sequence[Step]]) -> str:
    """Return a line for each operation and server."""
    lines = [
        f"{'operation':10} {'server':20} {'calls/s':>8} {'p50 ms':>7} {'p95 ms':>7} {'ratio':>6}"
    ]
    rates: dict[tuple[str, str], float] = {}
    for (operation, name), seen in steps.items():
        rates[operation, name] = statistics.mean(step.answered / step.seconds for step in seen)
        latencies = sorted(1000 * one for step in seen for one in step.latencies)
        p50, p95 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.95))
        ratio = rates[operation, name] / rates[operation, "without users"]
        lines.append(
            f"{operation:10} {name:20} {rates[operation, name]:8.1f} {p50:7.1f} {p95:7.1f} "
            f"{ratio:6.2f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmarks.users")
    parser.add_argument("--seconds", type=float, default=6, help="of each step")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args(list(arguments))
    with opened() as sandbox:
        image = build(sandbox.client, "postgres")
        postgres = Postgres(sandbox, image, "-c", "max_connections=500", hostname="postgres")
        wait_until(postgres.is_ready, READY_SECONDS, "PostgreSQL is ready")
        servers = Servers(sandbox, build(sandbox.client, "mlflow"), sandbox.secret.parent)
        steps = asyncio.run(
            measure(servers.addresses, options.seconds, options.rounds, options.clients)
        )
    print(table(steps))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
