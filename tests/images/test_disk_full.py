"""The fault `postgres-disk-full`, on a PostgreSQL with a small disk of its own."""

import subprocess
from pathlib import Path

import docker
import pytest

from infra.outputs import Component, Target
from tests.images.disk import disk_volume, format_disk, needs_root
from tests.images.sandbox import Postgres, Sandbox, execute, wait_until
from tests.unit.workloads.builders import target
from workloads.faults.catalogue import FAULTS
from workloads.faults.lifecycle import inject_and_heal

pytestmark = [pytest.mark.plugins, needs_root]

SIZE = 256 * 2**20
OWNER = "10002:10002"


def of(postgres: Postgres) -> Target:
    name = str(postgres.container.name)
    database = Component(name="postgres", kind="postgres", container=name, image="sha256:1")
    return target(components=(database,))


def insert(postgres: Postgres, number: int) -> "subprocess.CompletedProcess[str]":
    """Commit a row of 100 KB that cannot be compressed; it fails where there is no room."""
    return execute(
        postgres.container,
        *("psql", "--no-psqlrc", "-qAt", "--set=ON_ERROR_STOP=1", "--host=/run/postgresql"),
        *("--dbname=mlflow", "--file=-"),
        stdin=f"insert into kept select {number}, string_agg(md5(random()::text), '') "
        "from generate_series(1, 3000)",
    )


def test_a_full_disk_refuses_writes_and_loses_nothing(
    sandbox: Sandbox, client: docker.DockerClient, postgres_image: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    format_disk(disk, SIZE, OWNER)
    fault = FAULTS["postgres-disk-full"]
    with disk_volume(sandbox, disk) as volume:
        policy = {"Name": "unless-stopped"}
        postgres = Postgres(
            sandbox,
            postgres_image,
            volume=volume,
            init=True,
            restart_policy=policy,
            healthcheck={"test": ["CMD", "ready"], "interval": 10**9},
        )
        try:
            wait_until(postgres.is_ready, 120, "PostgreSQL is ready")
            postgres.sql("create table kept (number int, content text)")
            stack = of(postgres)
            assert fault.unavailable(stack) is None
            acknowledged = [
                number for number in range(5) if insert(postgres, number).returncode == 0
            ]
            assert acknowledged == [0, 1, 2, 3, 4]
            refused: list[str] = []

            def write_until_refused() -> None:
                for number in range(5, 500):
                    done = insert(postgres, number)
                    if done.returncode != 0:
                        refused.append(done.stderr)
                        return
                    acknowledged.append(number)

            [component] = fault.candidates(stack)
            states: list[str] = []
            inject_and_heal(
                fault.make[stack.platform](stack, component),
                write_until_refused,
                lambda state, _: states.append(state.value),
            )
            assert states == ["injecting", "in effect", "healing", "healed"]
            assert len(refused) == 1
            wait_until(lambda: insert(postgres, 999).returncode == 0, 30, "writes go on")
            found = postgres.sql("select number from kept order by number").split()
            assert [int(number) for number in found] == [*acknowledged, 999]
        finally:
            postgres.container.remove(force=True)
