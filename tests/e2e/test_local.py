"""The `local` stack from the first preview to the last trace, on a real engine and Docker."""

import contextlib
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import psutil
import pytest
import requests

from infra.components.capacity import RESERVED_CONNECTIONS
from infra.components.postgres import memory_settings, share
from tests.e2e import lifecycle
from tests.e2e.stack import (
    Stack,
    end,
    eventually,
    interrupt,
    new_stack,
    refusals,
    search,
    train,
)
from workloads.faults.container_faults import pause

pytestmark = pytest.mark.e2e

POSTGRES = "mlflow-bench-e2e-local-postgres"
SERVER = "mlflow-bench-e2e-local-mlflow-a-1"
JOB = "mlflow-bench-e2e-local-schema-job"

# Pulumi's own: it looks every five minutes whether its engine is still there.
LANGUAGE_HOST = "pulumi-language-python"


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Iterator[Stack]:
    stack = new_stack("e2e-local", tmp_path_factory.mktemp("local"))
    try:
        yield stack
    finally:
        end(stack, docker_client)


@pytest.fixture(scope="module")
def deployed(stack: Stack) -> dict[str, Any]:
    stack.up()
    return stack.outputs()


def sql(client: docker.DockerClient, statement: str) -> str:
    code, output = client.containers.get(POSTGRES).exec_run(
        ["psql", "-h", "/run/postgresql", "-U", "postgres", "-d", "mlflow", "-Atc", statement]
    )
    assert code == 0, output
    assert isinstance(output, bytes)
    return output.decode().strip()


def test_bad_configuration_is_refused_with_nothing_created(
    stack: Stack, docker_client: docker.DockerClient
) -> None:
    stack.configure(port=0, wrokers=2)
    try:
        said = stack.run("up", "--yes", "--skip-preview", ok=False)
    finally:
        stack.configure()
    assert "port: '0': input should be greater than or equal to 1" in said
    assert "wrokers: is not a configuration key; did you mean workers?" in said
    assert stack.left(docker_client) == []


def test_a_taken_port_is_named_at_preview_with_its_holder(stack: Stack) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", stack.port))
        holder.listen()
        said = stack.run("preview", ok=False)
    assert f"port: {stack.port}: taken by process {os.getpid()} (" in said, said


def test_a_real_client_trains_and_loads_its_model(deployed: dict[str, Any]) -> None:
    train(deployed["tracking_uri"])


def test_outputs_say_what_is_running(
    deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    target = deployed["target"]
    assert target["stack"] == "e2e-local"
    for component in target["components"]:
        container = docker_client.containers.get(component["container"])
        assert container.attrs["Config"]["Image"] == component["image"]
        assert container.attrs["State"]["Health"]["Status"] == "healthy"


def test_nothing_is_open_beyond_loopback(
    deployed: dict[str, Any], docker_client: docker.DockerClient, stack: Stack
) -> None:
    bindings = {
        name: docker_client.containers.get(name).attrs["HostConfig"]["PortBindings"]
        for name in (POSTGRES, SERVER)
    }
    assert bindings[SERVER] == {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]}
    [[audited]] = bindings[POSTGRES].values()
    assert audited["HostIp"] == "127.0.0.1"


def test_a_foreign_host_header_is_refused(deployed: dict[str, Any]) -> None:
    assert search(deployed["tracking_uri"]).status_code == 200
    assert search(deployed["tracking_uri"], Host="evil.example.com").status_code == 403
    for host in ("LOCALHOST", "LocalHost:5000", "[::1]", "[::1]:5000"):
        assert search(deployed["tracking_uri"], Host=host).status_code == 200, host


def test_no_secret_shows(
    stack: Stack, deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    plain = json.loads(stack.run("stack", "export", "--show-secrets"))
    secrets = {
        resource["outputs"]["result"]["plaintext"].strip('"')
        for resource in plain["deployment"]["resources"]
        if resource["type"] == "random:index/randomPassword:RandomPassword"
    }
    assert secrets
    assert all(len(secret) >= 32 for secret in secrets)
    places = stack.exposed(docker_client)
    for name in (POSTGRES, SERVER):
        assert "postgres" in places[f"processes of {name}"]
    found = [place for place, text in places.items() for secret in secrets if secret in text]
    assert found == []


def test_postgres_keeps_what_it_acknowledged_and_uses_its_share_of_the_machine(
    deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    for durability in ("fsync", "synchronous_commit", "full_page_writes"):
        assert sql(docker_client, f"SHOW {durability}") == "on"
    connections = int(sql(docker_client, "SHOW max_connections"))
    machine = int(docker_client.info()["MemTotal"])
    settings = memory_settings(share(machine, connections), connections)
    for name, value in settings.options().items():
        same = f"SELECT pg_size_bytes(current_setting('{name}')) = pg_size_bytes('{value}')"
        assert sql(docker_client, same) == "t", (name, value)
    shared_memory = docker_client.containers.get(POSTGRES).attrs["HostConfig"]["ShmSize"]
    assert shared_memory == settings.dev_shm


def test_a_burst_of_what_takes_most_connections_is_served(
    deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    """Runs renamed by `log_batch` hold four connections each, traces by OpenTelemetry two."""
    address = deployed["tracking_uri"]
    api = f"{address}/api/2.0/mlflow"

    def ask(path: str, **body: Any) -> dict[str, Any]:
        answer = requests.post(f"{api}/{path}", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    experiment = ask("experiments/create", name="burst")["experiment_id"]
    runs = [ask("runs/create", experiment_id=experiment)["run"]["info"]["run_id"] for _ in range(8)]

    def rename(number: int) -> requests.Response:
        batch = {
            "run_id": runs[number % len(runs)],
            "params": [{"key": f"p{number}", "value": "1"}],
            "metrics": [{"key": f"m{number}", "value": 1, "timestamp": 1, "step": 1}],
            "tags": [{"key": "mlflow.runName", "value": f"run {number}"}],
        }
        return requests.post(f"{api}/runs/log-batch", json=batch, timeout=60)

    def trace(number: int) -> requests.Response:
        span = {
            "traceId": f"{number + 1:032x}",
            "spanId": f"{number + 1:016x}",
            "name": "burst",
            "startTimeUnixNano": "1",
            "endTimeUnixNano": "2",
        }
        return requests.post(
            f"{address}/v1/traces",
            json={"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]},
            headers={"x-mlflow-experiment-id": experiment},
            timeout=60,
        )

    with ThreadPoolExecutor(96) as clients:
        answers = [
            *(clients.submit(rename, number) for number in range(256)),
            *(clients.submit(trace, number) for number in range(128)),
        ]
        most = 0
        while not all(answer.done() for answer in answers):
            counted = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'mlflow'"
            # Among so many, an engine has answered an exec with success and no output.
            most = max(most, int(sql(docker_client, counted) or 0))
    failed = [one.result().text for one in answers if one.result().status_code != 200]
    assert failed == []
    assert 8 < most <= int(sql(docker_client, "SHOW max_connections")) - RESERVED_CONNECTIONS
    assert "QueuePool" not in docker_client.containers.get(SERVER).logs().decode()


def test_an_up_without_a_change_changes_nothing(
    stack: Stack, deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    before = docker_client.containers.get(SERVER).id
    said = stack.up()
    assert re.search(r"Resources:\s+\d+ unchanged", said), said
    assert docker_client.containers.get(SERVER).id == before


def test_the_server_is_ready_only_while_the_database_answers(
    deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    server, postgres = (docker_client.containers.get(name) for name in (SERVER, POSTGRES))

    def health() -> str:
        server.reload()
        return str(server.attrs["State"]["Health"]["Status"])

    def ask() -> None:
        with contextlib.suppress(requests.RequestException):
            requests.post(f"{uri}/api/2.0/mlflow/experiments/search", json={}, timeout=100)

    uri = deployed["tracking_uri"]
    pause(postgres)
    try:
        # More than the server has threads; they hang until the database goes on.
        waiting = [threading.Thread(target=ask) for _ in range(60)]
        for thread in waiting:
            thread.start()
        eventually(lambda: health() == "unhealthy")
        alive = requests.get(f"{uri}/health", timeout=5)
        assert (alive.status_code, alive.text) == (200, "OK"), "it lives, and a restart is no help"
    finally:
        postgres.unpause()
    eventually(lambda: health() == "healthy")
    for thread in waiting:
        thread.join()


def test_nothing_differs_from_what_was_deployed(stack: Stack, deployed: dict[str, Any]) -> None:
    lifecycle.unchanged(stack, "preview")
    lifecycle.unchanged(stack, "refresh", "--yes", "--skip-preview")
    lifecycle.unchanged(stack, "preview")


def test_a_container_stopped_by_hand_is_named_and_started(
    stack: Stack, deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    docker_client.containers.get(SERVER).stop()
    said = stack.up(ok=False)
    assert f"container {SERVER} is exited; pulumi up --refresh starts it" in said
    stack.run("up", "--refresh", "--yes", "--skip-preview")
    assert search(deployed["tracking_uri"]).status_code == 200


def test_a_container_removed_by_hand_is_made_again(
    stack: Stack, deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    docker_client.containers.get(SERVER).remove(force=True)
    stack.run("refresh", "--yes", "--skip-preview")
    stack.up()
    assert search(deployed["tracking_uri"]).status_code == 200


def test_a_change_of_configuration_keeps_the_data(
    stack: Stack, deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    names = {e["name"] for e in search(deployed["tracking_uri"]).json()["experiments"]}
    stack.configure(workers=2)
    try:
        stack.up()
        after = {e["name"] for e in search(deployed["tracking_uri"]).json()["experiments"]}
        command = docker_client.containers.get(SERVER).attrs["Config"]["Cmd"]
    finally:
        stack.configure()
    assert "--workers=2" in command
    assert names == after
    assert "by hand" in names


def test_a_refused_database_stops_the_deployment_until_it_is_mended(
    stack: Stack, deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    head = sql(docker_client, "select version_num from alembic_version")
    sql(docker_client, "update alembic_version set version_num = 'abcdefabcdef'")
    docker_client.containers.get(JOB).remove(force=True)
    stack.run("refresh", "--yes", "--skip-preview")
    said = stack.up(ok=False)
    assert "schema job: exit status 3" in said, said
    assert "abcdefabcdef" in said, said
    assert "abcdefabcdef" in stack.up(ok=False), "the job runs again as long as it fails"
    assert sql(docker_client, "select version_num from alembic_version") == "abcdefabcdef"
    sql(docker_client, f"update alembic_version set version_num = '{head}'")
    stack.up()
    assert search(deployed["tracking_uri"]).status_code == 200


def artifacts_of(client: docker.DockerClient) -> set[str]:
    """The files of the artifacts' volume."""
    found = client.containers.get(SERVER).exec_run(
        ["find", "/var/lib/mlflow/artifacts", "-type", "f"]
    )
    assert isinstance(found.output, bytes)
    return set(found.output.decode().split())


def test_a_change_that_would_remove_data_is_refused(
    stack: Stack, deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    there, files = sorted(stack.left(docker_client)), artifacts_of(docker_client)
    assert files, "a model was logged before"
    stack.configure(artifacts="s3")
    try:
        for command in (["preview"], ["up", "--yes", "--skip-preview"]):
            [line] = refusals(stack.run(*command, ok=False), "artifacts")
            volume = "mlflow-bench-e2e-local-artifacts"
            assert line.startswith(f"artifacts: volume -> s3: would remove volume {volume} with")
            assert line.endswith("pulumi config set discard_data artifacts")
    finally:
        stack.configure()
    assert sorted(stack.left(docker_client)) == there
    assert artifacts_of(docker_client) == files
    # As it is needed for a backup.
    assert stack.outputs() == deployed


def test_artifacts_that_are_given_up_go_once_another_store_serves(
    stack: Stack, deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    volume = "mlflow-bench-e2e-local-artifacts"
    settings = {"artifacts": "s3", "s3_engine": "seaweedfs"}
    stack.configure(**settings, discard_data="artifacts")
    try:
        # The database is kept, and the schema job asks whether the artifacts were moved.
        refused = stack.up(ok=False)
        [destination] = set(re.findall(r"artifact destination '[^']*', not '([^']*)'", refused))
        assert volume in stack.left(docker_client)
        sql(
            docker_client,
            f"update mlflow_bench.deployment set artifacts_destination = '{destination}'",
        )
        said = stack.up()
        assert f"warning: discard_data: volume {volume}, with the artifacts of e2e-local" in said
        assert volume not in stack.left(docker_client)
        assert "by hand" in search(deployed["tracking_uri"]).text, "the database was not given up"
        # It does not stay for the next time.
        [line] = refusals(stack.run("preview", ok=False), "discard_data")
        assert line.endswith("removes nothing of it; pulumi config rm discard_data")
        # None reads the data of the other.
        stack.configure(**settings | {"s3_engine": "minio"})
        [line] = refusals(stack.run("preview", ok=False), "s3_engine")
        assert line.startswith("s3_engine: seaweedfs -> minio: would remove volume ")
        stack.configure(**settings)
        stack.destroy()
        assert stack.left(docker_client) == []
    finally:
        stack.configure()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("after", ["network-a", "postgres", "schema-job", "mlflow-a-1"])
def test_an_interrupted_up_leaves_nothing_that_destroy_does_not_remove(
    stack: Stack, docker_client: docker.DockerClient, sign: signal.Signals, after: str
) -> None:
    stack.destroy()
    process = stack.start("up", "--yes", "--skip-preview")
    wanted = f"mlflow-bench-e2e-local-{after}"
    eventually(lambda: wanted in stack.left(docker_client))
    interrupt(process, sign)
    process.communicate(timeout=240)
    if sign == signal.SIGKILL:
        stack.run("cancel", "--yes")
    # An engine that dies over one of these would leave a stack that nobody can read.
    assert list(stack.folder.rglob("*.attrs")) == []
    stack.destroy()
    eventually(lambda: stack.left(docker_client) == [])
    try:
        eventually(lambda: set(processes_of(process.pid)) <= {LANGUAGE_HOST})
    finally:
        for left in processes_of(process.pid).values():
            left.kill()


def processes_of(session: int) -> dict[str, psutil.Process]:
    """Return what still runs of a command that was started in a session of its own, by name."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found[process.name()] = process
    return found


def test_an_up_goes_on_where_a_killed_one_ended(
    stack: Stack, docker_client: docker.DockerClient
) -> None:
    process = stack.start("up", "--yes", "--skip-preview")
    eventually(lambda: POSTGRES in stack.left(docker_client))
    interrupt(process, signal.SIGKILL)
    process.communicate(timeout=180)
    stack.run("cancel", "--yes")
    stack.up()
    assert search(stack.outputs()["tracking_uri"]).status_code == 200
