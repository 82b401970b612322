"""What it costs to ask who a client is: the same load on servers with and without users.

    python -m scripts.benchmarks.users [--seconds 6] [--rounds 2] [--clients 8] [--of-stacks-only]

Six servers on one database, of which one at a time has the load, in turns, by a user who may edit
the experiment: without users; with them as a stack has them; the same, but comparing the password
at each request; with a token of an identity provider at each request, as with `auth: oidc`; and
MLflow's own `basic-auth`, with its cache off, as it comes, and on. Printed are
calls a second and milliseconds, and their ratios to the server without users in the same run.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import requests

from infra.components.oidc import SETTINGS_FILE as OIDC_FILE
from infra.components.secret_files import OIDC_SECRET_FILE
from infra.components.users import SETTINGS_FILE, DefaultPermission, Users
from infra.image.build import build
from scripts.benchmarks.tracking_load import Step, load, seed, settle
from tests.dex.server import bridge_address
from tests.images.sandbox import Postgres, Sandbox, opened, wait_until
from tests.images.users import ADMIN, SERVER_KEY, ServersWithUsers, sign_on
from tests.unit.infra.images.identity_provider import (
    CLIENT_SECRET,
    IdentityProvider,
    identity_provider,
)

USER, USER_PASSWORD = "edgar", "of-one-of-the-users"
TOKENS = "tokens of a provider"
OPERATIONS = ("log-batch", "get-run")
READY_SECONDS = 300
CACHE_SECONDS = 60


class Servers:
    """The servers by what they do, and their addresses with the user's password."""

    def __init__(
        self,
        sandbox: Sandbox,
        image: str,
        folder: Path,
        provider: IdentityProvider,
        *,
        of_stacks_only: bool,
    ) -> None:
        self._sandbox, self._image, self._folder = sandbox, image, folder
        stack = ServersWithUsers(sandbox, image, "postgres", folder)
        self._stack = stack
        self._server = stack.server
        compares = {"MLFLOW_BENCH_REMEMBERED_PASSWORDS": "0"}
        self.addresses = {
            "without users": self._start(replace(self._server, users=None).environment()),
            "users of a stack": stack.url(),
            TOKENS: self._with_tokens(provider),
        }
        if not of_stacks_only:
            self.addresses |= {
                "compares each time": self._start(self._server.environment() | compares),
                "mlflow, cache off": self._start(self._mlflow(), own=True, cache=0),
                "mlflow, cache on": self._start(self._mlflow(), own=True, cache=CACHE_SECONDS),
            }
        for address in self.addresses.values():
            wait_until(partial(_lives, address), READY_SECONDS, address)
        self._make_user(stack.url())
        named = f"http://{USER}:{USER_PASSWORD}@"
        for name, address in self.addresses.items():
            if name not in ("without users", TOKENS):
                self.addresses[name] = address.replace("http://", named)

    def _with_tokens(self, provider: IdentityProvider) -> str:
        users = Users(DefaultPermission.NONE, sign_on(provider.issuer))
        server = replace(self._server, users=users)
        files = {
            str(OIDC_FILE): server.files()[str(OIDC_FILE)],
            f"/run/secrets/{OIDC_SECRET_FILE}": CLIENT_SECRET,
        }
        volumes = []
        for path, content in files.items():
            file = self._folder / Path(path).name
            file.write_text(content)
            volumes.append(f"{file}:{path}:ro")
        return self._start(server.environment(), volumes=volumes)

    def _mlflow(self) -> dict[str, str]:
        own = {"MLFLOW_FLASK_SERVER_SECRET_KEY": SERVER_KEY}
        return self._server.environment() | own | {"_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED": "true"}

    def _start(
        self,
        environment: Mapping[str, str],
        *,
        own: bool = False,
        cache: int = 0,
        volumes: Sequence[str] = (),
    ) -> str:
        command = self._server.command()
        volumes = [*self._stack.volumes(), *volumes]
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
    addresses: Mapping[str, str], token: str, seconds: float, rounds: int, clients: int
) -> dict[tuple[str, str], list[Step]]:
    """Give each server the load in turns; return what was seen, by operation and server."""
    seeded = await seed(addresses["users of a stack"])
    steps: dict[tuple[str, str], list[Step]] = {}
    for number in range(rounds):
        for operation in OPERATIONS:
            names = list(addresses)
            # Nobody is always the first.
            for name in names[number:] + names[:number]:
                given = token if name == TOKENS else None
                await settle(addresses[name], token=given)
                step = await load(addresses[name], operation, clients, seconds, seeded, given)
                if step.errors:
                    raise RuntimeError(f"{name}, {operation}: {dict(step.errors)}")
                steps.setdefault((operation, name), []).append(step)
    return steps


def table(steps: Mapping[tuple[str, str], Sequence[Step]]) -> str:
    """Return a line for each operation and server."""
    lines = [
        f"{'operation':10} {'server':21} {'calls/s':>8} {'p50 ms':>7} {'p95 ms':>7} {'ratio':>6}"
    ]
    rates: dict[tuple[str, str], float] = {}
    for (operation, name), seen in steps.items():
        rates[operation, name] = statistics.mean(step.answered / step.seconds for step in seen)
        latencies = sorted(1000 * one for step in seen for one in step.latencies)
        p50, p95 = (latencies[int(len(latencies) * share)] for share in (0.5, 0.95))
        ratio = rates[operation, name] / rates[operation, "without users"]
        lines.append(
            f"{operation:10} {name:21} {rates[operation, name]:8.1f} {p50:7.1f} {p95:7.1f} "
            f"{ratio:6.2f}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.benchmarks.users")
    parser.add_argument("--seconds", type=float, default=6, help="of each step")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument(
        "--of-stacks-only", action="store_true", help="leave out what no stack is like"
    )
    options = parser.parse_args(list(arguments))
    with opened() as sandbox, identity_provider(bridge_address(sandbox.client)) as provider:
        image = build(sandbox.client, "postgres")
        postgres = Postgres(sandbox, image, "-c", "max_connections=500", hostname="postgres")
        wait_until(postgres.is_ready, READY_SECONDS, "PostgreSQL is ready")
        folder = sandbox.secret.parent
        servers = Servers(
            sandbox,
            build(sandbox.client, "mlflow"),
            folder,
            provider,
            of_stacks_only=options.of_stacks_only,
        )
        token = provider.token(email=USER, exp=int(time.time()) + 24 * 3600)
        figures = (options.seconds, options.rounds, options.clients)
        steps = asyncio.run(measure(servers.addresses, token, *figures))
    print(table(steps))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
