"""Two zones with a replica each, S3 and the load balancer, on a real engine and Docker."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from infra.checks.hosts import wrong_answers
from tests.e2e import artifacts
from tests.e2e.database import ask
from tests.e2e.stack import Stack, deployed, end, eventually, new_stack, search, train
from tests.ports import free_port
from workloads.faults.container_faults import pause
from workloads.target import access
from workloads.verdict.result import DurabilityVerdict, Result

pytestmark = pytest.mark.e2e

PREFIX = "mlflow-bench-e2e-zones-"
REPLICAS = ("mlflow-a-1", "mlflow-b-1")

PRESIGNED_CLIENT = """
import hashlib, os, pathlib, sys, mlflow
source = pathlib.Path("source.bin")
source.write_bytes(os.urandom(100 * 2**20))
client = mlflow.MlflowClient(sys.argv[1])
run = client.create_run("0").info.run_id
client.log_artifact(run, str(source))
os.mkdir("target")
received = pathlib.Path(client.download_artifacts(run, source.name, "target"))
print(hashlib.file_digest(source.open("rb"), "sha256").hexdigest() ==
      hashlib.file_digest(received.open("rb"), "sha256").hexdigest())
"""
"""A person's upload of 100 MiB, which goes by presigned URLs as soon as the client may."""


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("zones")
    settings = {"zones": 2, "artifacts": "s3", "allowed_hosts": "mlflow.example.com"}
    tls = {"tls": "true", "tls_inside": "true"}
    with deployed("e2e-zones", folder, docker_client, **settings, **tls) as stack:
        ca_file = stack.outputs()["ca_file"]
        with pytest.MonkeyPatch.context() as environment:
            # What a person exports, and the same for the `requests` of the tests.
            environment.setenv(access.CA_FILE, ca_file)
            environment.setenv("REQUESTS_CA_BUNDLE", ca_file)
            yield stack
    assert not Path(ca_file).exists()


@pytest.fixture(scope="module")
def outputs(stack: Stack) -> dict[str, Any]:
    return stack.outputs()


def run(client: docker.DockerClient, component: str, *command: str) -> tuple[int, str]:
    code, output = client.containers.get(PREFIX + component).exec_run(list(command))
    assert isinstance(output, bytes)
    return int(code or 0), output.decode()


def can_connect(client: docker.DockerClient, source: str, address: str, port: int) -> bool:
    code, _ = run(client, source, "timeout", "3", "bash", "-c", f"</dev/tcp/{address}/{port}")
    return code == 0


def address_of(client: docker.DockerClient, component: str) -> str:
    [place] = (
        client.containers.get(PREFIX + component).attrs["NetworkSettings"]["Networks"].values()
    )
    return str(place["IPAddress"])


def test_every_replica_serves(outputs: dict[str, Any], docker_client: docker.DockerClient) -> None:
    assert outputs["target"]["replicas"] == 2
    for _ in range(20):
        assert search(outputs["tracking_uri"]).status_code == 200
    log = docker_client.containers.get(PREFIX + "nginx").logs().decode()
    for replica in ("mlflow-a-1", "mlflow-b-1"):
        assert f'"upstream":"{address_of(docker_client, replica)}:5000"' in log


def test_clients_use_tls_and_its_keys_are_nowhere(
    stack: Stack, outputs: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    uri = outputs["tracking_uri"]
    assert uri.startswith("https://localhost:")
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        requests.get(uri, timeout=10, verify=requests.utils.DEFAULT_CA_BUNDLE_PATH)
    plain = requests.get(uri.replace("https://", "http://"), timeout=10)
    assert (plain.status_code, "use https://" in plain.text) == (400, True)
    places = stack.exposed(docker_client)
    assert [place for place, text in places.items() if "PRIVATE KEY" in text] == []
    stack.run("preview", "--expect-no-changes")


def test_a_zone_cannot_reach_the_replicas_of_another(
    outputs: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    there = address_of(docker_client, "mlflow-b-1")
    assert can_connect(docker_client, "mlflow-b-1", there, 5000)
    assert not can_connect(docker_client, "mlflow-a-1", there, 5000)
    for shared, port in (("postgres", 5432), ("object-store", 9000)):
        for replica in ("mlflow-a-1", "mlflow-b-1"):
            assert can_connect(docker_client, replica, shared, port)


def test_checks_reach_each_replica_and_both_stores(outputs: dict[str, Any]) -> None:
    components = {one["name"]: one for one in outputs["target"]["components"]}
    for replica in REPLICAS:
        address, ca_file = components[replica]["audit"], components[replica]["ca_file"]
        url = f"https://{address}/api/2.0/mlflow/experiments/search?max_results=1"
        assert requests.get(url, verify=ca_file, timeout=10).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(url, timeout=10)
        with pytest.raises(requests.exceptions.ConnectionError):
            search(f"http://{address}")
    status = requests.get(f"http://{components['nginx']['audit']}/nginx-status", timeout=10)
    assert "Active connections" in status.text

    assert ask(outputs, "SELECT count(*) FROM experiments") == [(1,)]
    plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
    plain += " WHERE usename = 'mlflow' AND NOT ssl"
    assert ask(outputs, plain) == [(0,)]
    assert artifacts.Bucket(outputs).objects("") == []


def test_a_workload_is_read_back_through_each_replica_and_from_the_database(
    stack: Stack, tmp_path: Path
) -> None:
    results = tmp_path / "run"
    stack.workload(results, "--scenario", "metrics", "--users", "2", "--duration", "4")
    result = Result.model_validate_json((results / "result.json").read_text())
    assert result.durability.verdict is DurabilityVerdict.PASS, result.durability
    assert {*REPLICAS, "postgres"} <= set(result.durability.sources)


def test_a_real_client_trains_and_loads_its_model(outputs: dict[str, Any]) -> None:
    train(outputs["tracking_uri"])


def test_clients_are_not_sent_to_an_address_that_they_cannot_reach(
    outputs: dict[str, Any],
) -> None:
    info = requests.get(f"{outputs['tracking_uri']}/api/3.0/mlflow/server-info", timeout=10).json()
    offered = {key: value for key, value in info.items() if key.startswith("multipart_")}
    assert len(offered) == 2
    assert not any(offered.values())


def test_an_artifact_of_a_gibibyte_passes_without_growth_of_a_replica(
    outputs: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    replicas = [docker_client.containers.get(PREFIX + name) for name in REPLICAS]
    with artifacts.growth(replicas) as grown:
        sent = artifacts.upload(outputs["tracking_uri"], "large.bin", 2**30)
        received = artifacts.download(outputs["tracking_uri"], "large.bin")
    assert received == sent
    assert grown[0] < 100 * 2**20
    # Nor was it kept in a file.
    for name in REPLICAS:
        assert run(docker_client, name, "find", "/var/tmp", "-type", "f") == (0, "")


def test_nothing_stays_of_an_upload_that_is_cut_off(outputs: dict[str, Any]) -> None:
    bucket = artifacts.Bucket(outputs)
    with artifacts.interrupted(outputs["tracking_uri"], "cut/off.bin", 64 * 2**20):
        eventually(lambda: bucket.uploads("cut/off.bin") == 1)
        assert bucket.objects("cut/") == []
    eventually(lambda: bucket.uploads("cut/off.bin") == 0)
    assert bucket.objects("cut/") == []


def test_artifacts_are_kept_from_other_names_and_sites_as_all_else_is(
    outputs: dict[str, Any],
) -> None:
    url = f"{outputs['tracking_uri']}{artifacts.ROUTE}/guarded.txt"
    assert requests.put(url, data=b"content", timeout=10).status_code == 200
    for headers in ({"Host": "left-out.example.com"}, {"Origin": "http://left-out.example.com"}):
        assert requests.put(url, data=b"other", headers=headers, timeout=10).status_code == 403
    assert requests.get(url, headers={"Host": "left-out"}, timeout=10).status_code == 403
    assert requests.get(url, timeout=10).content == b"content"


def test_an_artifact_that_is_not_there_is_told_at_once(outputs: dict[str, Any]) -> None:
    url = f"{outputs['tracking_uri']}{artifacts.ROUTE}/no/such.bin"
    assert requests.get(url, timeout=10).status_code == 404


def test_the_names_of_the_stack_are_served_and_no_others(
    outputs: dict[str, Any],
) -> None:
    uri, ca_file = outputs["tracking_uri"], outputs["ca_file"]
    known = ["localhost", "127.0.0.1", "mlflow.example.com"]
    assert wrong_answers(uri, known, ca_file=ca_file) == []
    # A name that was left out, and a server that takes any name, are both told.
    [bare, with_port] = wrong_answers(uri, ["left-out.example.com"], ca_file=ca_file)[:2]
    address = uri.removeprefix("https://")
    assert bare == (f"allowed_hosts: {address} answers 403 to Host: left-out.example.com, not 200")
    assert "Origin" in with_port


def test_a_replica_is_ready_only_while_the_store_answers(
    outputs: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    replica = docker_client.containers.get(PREFIX + "mlflow-a-1")
    store = docker_client.containers.get(PREFIX + "object-store")
    assert run(docker_client, "mlflow-a-1", "ready") == (0, "")
    pause(store)
    try:
        refused = [run(docker_client, "mlflow-a-1", "ready") for _ in range(3)]
        waiting = [row for row in replica.top()["Processes"] if row[-1].endswith("ready")]
        alive = requests.get(f"{outputs['tracking_uri']}/health", timeout=5)
        searched = search(outputs["tracking_uri"])
    finally:
        store.unpause()
    assert all(code != 0 and "not ready: artifact store" in said for code, said in refused)
    # Checks that pile up would take every thread of the server.
    assert len(waiting) <= 2, waiting
    assert (alive.status_code, searched.status_code) == (200, 200)
    eventually(lambda: run(docker_client, "mlflow-a-1", "ready")[0] == 0)


def test_a_replaced_replica_is_found_again(
    stack: Stack, outputs: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    before = address_of(docker_client, "mlflow-b-1")
    docker_client.containers.get(PREFIX + "mlflow-b-1").remove(force=True)
    for _ in range(5):
        assert search(outputs["tracking_uri"]).status_code == 200, "the other replica serves"
    stack.run("refresh", "--yes", "--skip-preview")
    stack.up()
    assert address_of(docker_client, "mlflow-b-1") == before
    assert search(outputs["tracking_uri"]).status_code == 200


def test_no_key_of_the_store_shows(
    stack: Stack, outputs: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    _, credentials = run(docker_client, "mlflow-a-1", "cat", "/run/secrets/aws-credentials")
    key = credentials.rsplit("=", 1)[1].strip()
    assert len(key) == 32
    places = stack.exposed(docker_client)
    assert [place for place, text in places.items() if key in text] == []


def test_another_stack_runs_beside_it_with_two_replicas_in_each_zone(
    outputs: dict[str, Any],
    tmp_path: Path,
    docker_client: docker.DockerClient,
) -> None:
    beside = new_stack("e2e-beside", tmp_path)
    beside.configure(zones=2, replicas=2, artifacts="s3", presigned="true", s3_port=free_port())
    try:
        beside.up()
        target = beside.outputs()["target"]
        replicas = [one for one in target["components"] if one["kind"] == "mlflow"]
        assert [one["zone"] for one in replicas] == ["a", "a", "b", "b"]
        ours, theirs = outputs["tracking_uri"], target["tracking_uri"]
        for uri in (ours, theirs, *(f"http://{one['audit']}" for one in replicas)):
            assert search(uri).status_code == 200
        # What is written to one is not in the other.
        for uri, name in ((ours, "first"), (theirs, "second")):
            made = requests.post(
                f"{uri}/api/2.0/mlflow/experiments/create", json={"name": name}, timeout=10
            )
            assert made.status_code == 200
        assert "second" not in search(ours).text
        assert "first" not in search(f"http://{replicas[-1]['audit']}").text
        assert "second" in search(f"http://{replicas[-1]['audit']}").text
        moves_artifacts_past_the_server(theirs, docker_client, tmp_path)
        workload_moves_files_past_the_server(beside, tmp_path)
    finally:
        end(beside, docker_client)
    assert search(ours).status_code == 200, "removing one stack does not touch the other"


def moves_artifacts_past_the_server(uri: str, client: docker.DockerClient, folder: Path) -> None:
    """A client on this machine, in none of the stack's networks, uses S3 by presigned URLs."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PRESIGNED_CLIENT, uri],
        cwd=folder,
        env=os.environ | {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(50 * 10**6)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "True"
    log = client.containers.get("mlflow-bench-e2e-beside-nginx").logs().decode()
    requested = [
        json.loads(line)["uri"] for line in log.splitlines() if "mlflow-artifacts/" in line
    ]
    for step in ("/mpu/create/", "/mpu/complete/", "/presigned/"):
        assert any(step in one for one in requested), step
    assert not any(f"{artifacts.ROUTE}/0/" in one for one in requested), "not through the server"


def workload_moves_files_past_the_server(stack: Stack, folder: Path) -> None:
    """The scenario `artifacts` knows of each file, though no call to the server named it."""
    for via, sizes in (("presigned", "12288"), ("direct", "64,1024")):
        results = folder / via
        stack.workload(
            *(results, "--scenario", "artifacts", "--users", "1", "--duration", "4"),
            *("--set", f"via={via}", "--set", f"sizes_kib={sizes}"),
        )
        result = Result.model_validate_json((results / "result.json").read_text())
        assert result.errors == {}
        assert result.durability.verdict is DurabilityVerdict.PASS, result.durability
        kept = result.durability.kinds["artifact"]
        assert kept.acknowledged == kept.present > 2
        names = {operation.name for operation in result.operations}
        assert {"PUT artifact past the server", "GET artifact past the server"} <= names
        assert "PUT artifact" not in names
