"""Every fault on Docker, done to one real stack: in effect and healed as it is really seen."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from infra.outputs import Target
from tests.e2e.database import ask
from tests.e2e.stack import ROOT, Stack, deployed, eventually, search
from workloads.faults import leftovers, toxiproxy
from workloads.faults.catalogue import FAULTS
from workloads.faults.container_faults import pause
from workloads.faults.lifecycle import inject_and_heal
from workloads.faults.schedule import pick_component, selected
from workloads.verdict.result import Result

pytestmark = pytest.mark.e2e

LOCK = 471100
LOCKING = f"""
import time, psycopg2
place = dict(host="postgres", user="mlflow", dbname="mlflow", passfile="/tmp/pgpass")
connection = psycopg2.connect(**place)
connection.cursor().execute("SELECT pg_advisory_xact_lock({LOCK})")
time.sleep(60)
"""
"""What a server does that is amid a transaction."""

NAMES = [name for name in FAULTS if name != "noop"]
ELSEWHERE = {"nfs-restart", "nfs-freeze", "postgres-disk-full"}
COMMAND_SECONDS = 600


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("faults")
    with deployed("e2e-flt", folder, docker_client, zones=2, artifacts="s3") as stack:
        yield stack


@pytest.fixture(scope="module")
def target(stack: Stack) -> Target:
    return Target.model_validate(stack.outputs()["target"])


@pytest.fixture(scope="module")
def fronted(target: Target) -> Iterator[toxiproxy.Proxy]:
    try:
        yield toxiproxy.start(target)
    finally:
        toxiproxy.remove(target)


def test_the_stack_can_have_every_fault_but_those_of_other_stores(target: Target) -> None:
    assert {name for name in NAMES if FAULTS[name].unavailable(target)} == ELSEWHERE
    assert "own disk" in (FAULTS["postgres-disk-full"].unavailable(target) or "")
    assert set(selected("all", target, 1, 1)) == set(NAMES) - ELSEWHERE


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ELSEWHERE])
def test_a_fault_takes_and_is_healed(name: str, target: Target, fronted: toxiproxy.Proxy) -> None:
    """`inject_and_heal` raises when it is not seen in effect, or not seen healed."""
    fault = FAULTS[name]
    injection = fault.make[target.platform](target, pick_component(fault, target, 1, 0))
    assert not name.endswith(("freeze", "cut")) or not injection.in_effect()
    states: list[str] = []
    inject_and_heal(injection, lambda: None, lambda state, _: states.append(state.value))
    assert states == ["injecting", "in effect", "healing", "healed"]
    eventually(lambda: search(target.tracking_uri).status_code == 200)
    eventually(lambda: search(fronted.address).status_code == 200)


def test_what_a_killed_run_left_is_found_and_healed(
    target: Target, fronted: toxiproxy.Proxy, docker_client: docker.DockerClient
) -> None:
    """The proxy of the tests above counts as one, too."""
    by_name = {one.name: docker_client.containers.get(one.container) for one in target.components}
    pause(by_name["mlflow-a-1"])
    by_name["object-store"].stop()
    cut = FAULTS["zone-cut"].make[target.platform](target, None)
    cut.inject()
    healed = leftovers.heal(target)
    assert sorted(line.split()[0] for line in healed) == [
        "mlflow-a-1",
        "object-store",
        "the",
        "zone",
    ]
    assert cut.healed()
    assert leftovers.heal(target) == []
    assert search(target.tracking_uri).status_code == 200


def test_what_a_replica_without_network_has_locked_is_soon_free(
    stack: Stack, target: Target, docker_client: docker.DockerClient
) -> None:
    def locks() -> int:
        of_the_test = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
        [(number,)] = ask(stack.outputs(), of_the_test, LOCK)
        return int(number)

    cut = FAULTS["zone-cut"].make[target.platform](target, None)
    [replica] = [one.container for one in target.components if one.name == "mlflow-b-1"]
    docker_client.containers.get(replica).exec_run(["python", "-c", LOCKING], detach=True)
    eventually(lambda: locks() == 1, 60)
    cut.inject()
    try:
        eventually(lambda: locks() == 0, 30)
    finally:
        cut.heal()
    eventually(cut.healed)


def test_any_start_order_ends_with_all_ready(
    target: Target, docker_client: docker.DockerClient
) -> None:
    containers = {
        one.kind: docker_client.containers.get(one.container) for one in target.components
    }
    for container in containers.values():
        container.stop(timeout=5)
    for kind in ("nginx", "mlflow", "minio", "postgres"):  # those that need the others first
        containers[kind].start()
        time.sleep(1)
    eventually(lambda: search(target.tracking_uri).status_code == 200)


def test_a_run_with_a_fault_is_judged(
    stack: Stack, target: Target, tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    folder = tmp_path / "run"
    done = command(stack, folder, "--fault", "replica-kill")
    assert "Traceback" not in done.stdout + done.stderr
    assert (folder / "result.json").exists(), done.stderr
    result = Result.model_validate_json((folder / "result.json").read_text())
    assert result.resilience
    [fault] = result.resilience.faults
    assert fault.component in ("mlflow-a-1", "mlflow-b-1")
    assert fault.in_effect_s is not None
    assert fault.healed_s is not None
    assert fault.calls > 100
    # How long is measured on a quiet machine (scripts/benchmarks/faults.py): here, that the other
    # replica served while this one was away.
    assert fault.outage_s < fault.healed_s / 2
    assert sum(sets.lost for sets in result.durability.kinds.values()) == 0
    assert sum(sets.acknowledged for sets in result.durability.kinds.values()) > 1000


def test_no_acknowledged_span_is_lost_in_a_fault(
    stack: Stack, target: Target, tmp_path: Path
) -> None:
    """The server that traces go to is killed, then the database that they are in is restarted."""
    faults = ("replica-kill", "postgres-restart")
    options = ("--fault", ",".join(faults), "--set", "traces=0.5", "--set", "fault_s=2")
    done = command(stack, tmp_path / "run", *options)
    assert "Traceback" not in done.stdout + done.stderr
    assert (tmp_path / "run" / "result.json").exists(), done.stderr
    result = Result.model_validate_json((tmp_path / "run" / "result.json").read_text())
    assert result.resilience
    assert tuple(fault.fault for fault in result.resilience.faults) == faults
    kept = result.durability.kinds
    assert sum(sets.lost for sets in kept.values()) == 0, result.durability.findings
    assert kept["span"].acknowledged > 300
    assert kept["span"].unread == 0
    assert result.missing_spans
    assert result.missing_spans.lost_spans == 0
    for fault in result.resilience.faults:
        assert fault.traces
        assert fault.traces.exports > 0
        for kind in ("spans sent", "trace sent", "trace read"):
            assert fault.kinds[kind].acknowledged_before > 0


def test_a_run_that_is_ended_heals_first(
    stack: Stack, target: Target, tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    database = next(one.container for one in target.components if one.kind == "postgres")

    def paused() -> bool:
        return bool(docker_client.containers.get(database).attrs["State"]["Paused"])

    arguments = ("--fault", "postgres-freeze", "--set", "fault_s=300", "--duration", "1")
    with (
        stack.in_project(),
        subprocess.Popen(
            line(stack, tmp_path / "run", *arguments),
            cwd=ROOT,
            env=os.environ | stack.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        try:
            eventually(lambda: paused() or process.poll() is not None)
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=300)
        finally:
            process.kill()
    assert process.returncode == 130, output
    assert "interrupted; the history is kept" in output
    assert not paused()
    assert search(target.tracking_uri).status_code == 200


def line(stack: Stack, folder: Path, *arguments: str) -> list[str]:
    command = [sys.executable, "-m", "workloads", "run", "--stack", stack.name]
    return [*command, "--scenario", "resilience", "--once", "--results", str(folder), *arguments]


def command(stack: Stack, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    with stack.in_project():
        return subprocess.run(
            line(stack, folder, *arguments),
            cwd=ROOT,
            env=os.environ | stack.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
