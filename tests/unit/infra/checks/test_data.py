"""Which changes of a configuration would remove data, and what is said of each."""

import json
import subprocess
from pathlib import Path
from typing import Any

import docker
import pulumi
import pytest
from docker.errors import NotFound
from kubernetes.client import Configuration, CoreV1Api
from kubernetes.client.exceptions import ApiException

from infra import state
from infra.checks import data
from infra.docker import preflight as on_docker
from infra.kubernetes import preflight as on_kubernetes
from infra.names import Names
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.load import load_spec

EXTERNAL_S3 = json.dumps({"kind": "s3", "bucket": "team", "region": "eu-central-1"})
EXTERNAL_NFS = json.dumps({"kind": "nfs", "server": "nas", "path": "/mlflow"})
EXTERNAL_DATABASE = json.dumps({"url": "postgresql://me:secret@db.example.com/runs"})


def spec_of(config: dict[str, Any]) -> DeploymentSpec:
    values = {
        f"mlflow-bench:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
    }
    return load_spec(values, Path.cwd(), secret_keys={"mlflow-bench:database"})


def volume(component: str, stack: str = "local", **inputs: Any) -> dict[str, Any]:
    labels = {"mlflow-bench.stack": stack, "mlflow-bench.component": component}
    return {
        "urn": f"urn:pulumi:{stack}::mlflow-bench::a$docker:index/volume:Volume::{component}",
        "type": "docker:index/volume:Volume",
        "inputs": {
            "name": f"mlflow-bench-{stack}-{component}",
            "labels": [{"label": key, "value": value} for key, value in labels.items()],
        }
        | inputs,
    }


def claims(*names: str, storage_class: str | None = None, **provider: str) -> list[dict[str, Any]]:
    urn = "urn:pulumi:local::mlflow-bench::a$pulumi:providers:kubernetes::cluster"
    kind = "kubernetes:core/v1:PersistentVolumeClaim"
    spec = {"storageClassName": storage_class} if storage_class else {}
    return [
        {"urn": urn, "type": "pulumi:providers:kubernetes", "inputs": provider},
        *(
            {
                "urn": f"urn:pulumi:local::mlflow-bench::a$b${kind}::{name}",
                "type": kind,
                "provider": f"{urn}::7a1c",
                "inputs": {
                    "metadata": {"name": name, "namespace": "mlflow-bench-local"},
                    "spec": spec,
                },
            }
            for name in names
        ),
    ]


LOCAL = [volume("postgres-data"), volume("artifacts"), volume("postgres-secrets")]
S3 = [volume("postgres-data"), volume("object-store-data")]
SEAWEEDFS = [volume("postgres-data"), volume("object-store-seaweedfs-data")]
NFS = [volume("postgres-data"), volume("nfs-data"), volume("artifacts", driverOpts={"type": "nfs"})]
CLUSTER = claims("postgres-data", "object-store-data", context="here")
MARKED = claims("postgres-data", "object-store-data", clusterIdentifier="here")
FAST = claims("postgres-data", "object-store-data", context="here", storage_class="fast")

ON_CLUSTER: dict[str, Any] = {
    "platform": "kubernetes",
    "artifacts": "s3",
    "kubernetes": {"context": "here"},
}


@pytest.fixture(autouse=True)
def stack_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "local")


def on_cluster(**changes: str) -> dict[str, Any]:
    return ON_CLUSTER | {"kubernetes": {"context": "here"} | changes}


@pytest.mark.parametrize(
    ("before", "config"),
    [
        ([], {}),
        ([], ON_CLUSTER),
        (LOCAL, {}),
        (LOCAL, {"port": "5001", "workers": "4", "postgres_memory": "4g", "zones": "1"}),
        (S3, {"artifacts": "s3"}),
        (S3, {"artifacts": "s3", "zones": "3", "replicas": "2", "presigned": "true"}),
        (SEAWEEDFS, {"artifacts": "s3", "s3_engine": "seaweedfs"}),
        # The volume that an engine's kernel mounts holds nothing itself.
        (NFS, {"artifacts": "nfs", "nfs_client": "kernel"}),
        (NFS, {"artifacts": "nfs", "nfs_client": "fuse"}),
        # What is outside stays there, and a store of the stack's own is added.
        ([], {"artifacts": EXTERNAL_S3, "database": EXTERNAL_DATABASE}),
        ([volume("artifacts")], {"database": EXTERNAL_DATABASE}),
        ([volume("artifacts")], {}),
        ([volume("postgres-data")], {"artifacts": EXTERNAL_S3}),
        ([volume("postgres-data")], {"artifacts": "s3"}),
        ([volume("artifacts", driverOpts={"type": "nfs"})], {"database": EXTERNAL_DATABASE}),
        # What is being replaced already was given up before.
        ([volume("artifacts") | {"delete": True}], {"artifacts": "s3"}),
        (CLUSTER, ON_CLUSTER),
        (MARKED, ON_CLUSTER),
        (CLUSTER, on_cluster(storage="20Gi", ingress_host="mlflow.example.com")),
        (CLUSTER, on_cluster(namespace="mlflow-bench-local")),
        (FAST, on_cluster(storage_class="fast")),
    ],
)
def test_what_keeps_its_data(before: list[dict[str, Any]], config: dict[str, Any]) -> None:
    assert (
        data.lost(
            data.stores_in(before, Names("local")), data.planned_places("local", spec_of(config))
        )
        == []
    )


@pytest.mark.parametrize(
    ("before", "config", "change", "names"),
    [
        (LOCAL, {"artifacts": "s3"}, "artifacts: volume -> s3", "artifacts"),
        (LOCAL, {"artifacts": "nfs"}, "artifacts: volume -> nfs", "artifacts"),
        (LOCAL, {"artifacts": EXTERNAL_S3}, "artifacts: volume -> external s3", "artifacts"),
        (LOCAL, {"artifacts": EXTERNAL_NFS}, "artifacts: volume -> external nfs", "artifacts"),
        (
            LOCAL,
            {"database": EXTERNAL_DATABASE},
            "database: the stack's own -> external",
            "postgres-data",
        ),
        (S3, {"artifacts": "volume"}, "artifacts: s3 -> volume", "object-store-data"),
        (S3, {"artifacts": EXTERNAL_S3}, "artifacts: s3 -> external s3", "object-store-data"),
        (
            S3,
            {"artifacts": "s3", "s3_engine": "seaweedfs"},
            "s3_engine: minio -> seaweedfs",
            "object-store-data",
        ),
        (
            SEAWEEDFS,
            {"artifacts": "s3"},
            "s3_engine: seaweedfs -> minio",
            "object-store-seaweedfs-data",
        ),
        (NFS, {"artifacts": "volume"}, "artifacts: nfs -> volume", "nfs-data"),
        (LOCAL, ON_CLUSTER, "platform: docker -> kubernetes", "postgres-data artifacts"),
        (
            CLUSTER,
            {"artifacts": "s3"},
            "platform: kubernetes -> docker",
            "postgres-data object-store-data",
        ),
        (
            CLUSTER,
            on_cluster(context="there"),
            "kubernetes.context: here -> there",
            "postgres-data object-store-data",
        ),
        (
            MARKED,
            on_cluster(context="there"),
            "kubernetes.context: here -> there",
            "postgres-data object-store-data",
        ),
        (
            CLUSTER,
            on_cluster(namespace="team"),
            "kubernetes.namespace: mlflow-bench-local -> team",
            "postgres-data object-store-data",
        ),
        (
            CLUSTER,
            on_cluster(storage_class="fast"),
            "kubernetes.storage_class: the cluster's default -> fast",
            "postgres-data object-store-data",
        ),
        (
            FAST,
            ON_CLUSTER,
            "kubernetes.storage_class: fast -> the cluster's default",
            "postgres-data object-store-data",
        ),
        (
            CLUSTER,
            ON_CLUSTER | {"database": EXTERNAL_DATABASE},
            "database: the stack's own -> external",
            "postgres-data",
        ),
        (
            CLUSTER,
            ON_CLUSTER | {"s3_engine": "seaweedfs"},
            "s3_engine: minio -> seaweedfs",
            "object-store-data",
        ),
        (
            [volume("postgres-data", "old"), volume("artifacts", "old")],
            {},
            "stack: old -> local",
            "postgres-data artifacts",
        ),
    ],
)
def test_what_loses_data_is_told_by_its_key(
    before: list[dict[str, Any]], config: dict[str, Any], change: str, names: str
) -> None:
    losses = data.lost(
        data.stores_in(before, Names("local")), data.planned_places("local", spec_of(config))
    )
    assert {f"{loss.key}: {loss.was} -> {loss.now}" for loss in losses} == {change}
    assert [loss.store.name.removeprefix("mlflow-bench-local-") for loss in losses] == [
        name if "old" not in change else f"mlflow-bench-old-{name}" for name in names.split()
    ]
    [line] = data.refusals(losses)
    assert line.startswith(f"{change}: would remove ")


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(data, "holds_data", lambda _: True)
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    return said


def deployed(monkeypatch: pytest.MonkeyPatch, resources: list[dict[str, Any]]) -> None:
    monkeypatch.setattr(state, "resources", lambda _: resources)


def test_a_refusal_says_what_would_go_and_the_ways_on(
    monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    deployed(monkeypatch, LOCAL)
    with pytest.raises(SpecError) as refused:
        data.check_data("local", spec_of({"artifacts": "s3", "database": EXTERNAL_DATABASE}))
    way = (
        "; set it back, or move (docs/durability.md#moving-a-stack), or give up what is there: "
        "pulumi config set discard_data artifacts,database"
    )
    assert str(refused.value).splitlines() == [
        "database: the stack's own -> external: would remove volume "
        f"mlflow-bench-local-postgres-data with the database{way}",
        "artifacts: volume -> s3: would remove volume mlflow-bench-local-artifacts with the "
        f"artifacts{way}",
    ]


def test_one_key_that_removes_both_is_one_line(
    monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    deployed(monkeypatch, CLUSTER)
    with pytest.raises(SpecError) as refused:
        data.check_data("local", spec_of(on_cluster(storage_class="fast")))
    [line] = str(refused.value).splitlines()
    assert (
        "would remove claim postgres-data in namespace mlflow-bench-local with the database and "
        "claim object-store-data in namespace mlflow-bench-local with the artifacts;"
    ) in line


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("artifacts", None),
        ("database", "artifacts: volume -> s3: would remove .*discard_data artifacts,database$"),
        ("artifacts,database", "^discard_data: database: this deployment removes nothing of it;"),
    ],
)
def test_data_is_given_up_by_its_name_alone(
    monkeypatch: pytest.MonkeyPatch, warned: list[str], given: str, line: str | None
) -> None:
    deployed(monkeypatch, LOCAL)
    spec = spec_of({"artifacts": "s3", "discard_data": given})
    if line is None:
        data.check_data("local", spec)
        assert warned == [
            "discard_data: volume mlflow-bench-local-artifacts, with the artifacts of local, is "
            "removed"
        ]
        return
    with pytest.raises(SpecError, match=line):
        data.check_data("local", spec)
    assert warned == []


def test_discard_data_does_not_stay_for_the_next_time(
    monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    deployed(monkeypatch, S3)
    with pytest.raises(
        SpecError, match=r"^discard_data: artifacts: .*; pulumi config rm discard_d"
    ):
        data.check_data("local", spec_of({"artifacts": "s3", "discard_data": "artifacts"}))


def test_only_data_can_be_given_up() -> None:
    with pytest.raises(SpecError, match=r"^discard_data: 'all': input should be 'database' or"):
        spec_of({"discard_data": "all"})


def test_a_store_that_holds_nothing_is_nothing_to_lose(
    monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    deployed(monkeypatch, LOCAL)
    monkeypatch.setattr(data, "holds_data", lambda store: store.data == "database")
    data.check_data("local", spec_of({"artifacts": "s3"}))
    with pytest.raises(SpecError, match=r"^discard_data: artifacts: this deployment removes noth"):
        data.check_data("local", spec_of({"artifacts": "s3", "discard_data": "artifacts"}))


class Volumes:
    """Docker with the sizes of its volumes; None: it does not say."""

    def __init__(self, sizes: dict[str, int] | None) -> None:
        self._sizes = sizes
        self.volumes = self

    def get(self, name: str) -> None:
        if self._sizes is not None and name not in self._sizes:
            raise NotFound(name)

    def df(self) -> dict[str, Any]:
        if self._sizes is None:
            raise docker.errors.APIError("busy")
        return {
            "Volumes": [
                {"Name": name, "UsageData": {"Size": size}} for name, size in self._sizes.items()
            ]
        }

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("sizes", "holds"),
    [
        ({"mine": 0, "other": 5}, False),
        ({"mine": 1, "other": 0}, True),
        ({"mine": -1}, True),
        ({"other": 5}, False),
        (None, True),
    ],
)
def test_a_volume_holds_data_unless_docker_says_no(
    monkeypatch: pytest.MonkeyPatch, sizes: dict[str, int] | None, holds: bool
) -> None:
    monkeypatch.setattr(on_docker, "connect", lambda: Volumes(sizes))
    assert on_docker.holds_data("mine") is holds


def test_a_volume_of_a_docker_that_does_not_answer_may_hold_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def connect() -> None:
        raise SpecError("Docker does not answer")

    monkeypatch.setattr(on_docker, "connect", connect)
    assert on_docker.holds_data("mine")


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        ("Bound", True),
        ("Pending", False),
        ("Lost", False),
        (404, False),
        (403, True),
    ],
)
def test_a_claim_holds_data_once_it_has_a_volume(
    monkeypatch: pytest.MonkeyPatch, answer: str | int, holds: bool
) -> None:
    class Found:
        class status:  # noqa: N801
            phase = answer

    def read(*_: object, **__: object) -> type[Found]:
        if isinstance(answer, int):
            raise ApiException(status=answer)
        return Found

    monkeypatch.setattr(CoreV1Api, "read_namespaced_persistent_volume_claim", read)
    monkeypatch.setattr(on_kubernetes, "configuration", lambda _: Configuration())
    assert on_kubernetes.holds_data("here", "namespace", "claim") is holds


def test_a_claim_in_a_cluster_that_is_not_known_any_more_may_hold_data() -> None:
    assert on_kubernetes.holds_data("not-there", "namespace", "claim")


def answered(monkeypatch: pytest.MonkeyPatch, code: int, out: str, err: str = "") -> list[str]:
    asked: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.extend(command)
        return subprocess.CompletedProcess(command, code, out, err)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(pulumi, "get_organization", lambda: "team")
    monkeypatch.setattr(pulumi, "get_project", lambda: "mlflow-bench")
    return asked


@pytest.mark.parametrize("deployment", [{}, {"resources": []}, {"resources": None}])
def test_a_stack_that_was_never_deployed_has_no_resources(
    monkeypatch: pytest.MonkeyPatch, deployment: dict[str, Any]
) -> None:
    asked = answered(monkeypatch, 0, json.dumps({"version": 3, "deployment": deployment}))
    assert state.resources("local") == []
    assert "team/mlflow-bench/local" in asked


def test_a_state_that_cannot_be_read_is_not_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    answered(monkeypatch, 255, "", "more\nerror: the backend does not answer\n")
    with pytest.raises(SpecError, match=r"^the state of local cannot be read: the backend"):
        state.resources("local")


def test_pulumi_has_to_be_found_to_read_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_organization", lambda: "team")
    monkeypatch.setattr(pulumi, "get_project", lambda: "mlflow-bench")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SpecError, match=r"^the state of local cannot be read: .*pulumi"):
        state.resources("local")
