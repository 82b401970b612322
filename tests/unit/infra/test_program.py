"""The Pulumi program as a whole: what it exports."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, set_mocks

from infra.docker import deployment as on_docker
from infra.outputs import (
    ArtifactStore,
    AuditSecrets,
    BackendStore,
    Component,
    Platform,
    Target,
    summary,
)
from infra.specification.deployment import DeploymentSpec

PROGRAM = Path(__file__).parents[3] / "infra" / "__main__.py"
PASSWORD = "not to be seen"
TARGET = Target(
    stack="local",
    platform=Platform.DOCKER,
    tracking_uri="http://localhost:5055",
    mlflow_version="3.1",
    artifacts="volume",
    replicas=1,
    components=(Component(name="postgres", kind="postgres", container="c", image="sha256:1"),),
    zones=(),
    backend_store=BackendStore(host="127.0.0.1", port=15001, database="mlflow", user="mlflow"),
    artifact_store=ArtifactStore(uri="file:///artifacts", volume="v"),
)
SMALL = {
    "url": "http://localhost:5055",
    "database": "postgresql://mlflow@127.0.0.1:15001/mlflow",
    "artifacts": "file:///artifacts",
    "replicas": 1,
    "mlflow_version": "3.1",
}


class NoResources(Mocks):
    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        return args.name, args.inputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise AssertionError(args.token)


class Deployment:
    def __init__(self, stack: str, spec: DeploymentSpec) -> None:
        assert (stack, spec.port) == ("local", 5055)
        self.target = pulumi.Output.from_input(TARGET)
        self.secrets = pulumi.Output.secret(
            AuditSecrets(database_password=PASSWORD, s3_credentials=None)
        )
        self.admin_password = pulumi.Output.secret(PASSWORD)


@pytest.fixture
def exported(
    monkeypatch: pytest.MonkeyPatch, event_loop_there: None
) -> Callable[[], dict[str, pulumi.Output[Any]]]:
    """Runs the program, and returns its stack outputs."""
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps({"mlflow-bench:port": "5055"}))
    monkeypatch.setattr(on_docker, "Deployment", Deployment)
    monkeypatch.setattr(sys, "path", list(sys.path))
    set_mocks(NoResources(), project="mlflow-bench", stack="local", preview=False)

    def run() -> dict[str, pulumi.Output[Any]]:
        outputs: dict[str, pulumi.Output[Any]] = {}
        monkeypatch.setattr(pulumi, "export", outputs.__setitem__)
        runpy.run_path(str(PROGRAM), run_name="__main__")
        return outputs

    return run


def test_the_program_exports_the_target_and_small_outputs_beside_it(
    exported: Callable[[], dict[str, pulumi.Output[Any]]],
) -> None:
    values: dict[str, Any] = {}
    secret: dict[str, bool] = {}

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    async def program() -> None:
        for name, output in exported().items():
            values[name] = await output.future()
            secret[name] = await output.is_secret()

    program()
    assert {name: values[name] for name in SMALL} == SMALL
    assert values["tracking_uri"] == values["url"]
    assert Target.model_validate(values["target"]) == TARGET
    assert [name for name in secret if secret[name]] == ["audit_secrets", "admin_password"]
    assert all(PASSWORD not in str(values[name]) for name in values if not secret[name])


def test_the_address_of_a_database_can_be_parsed() -> None:
    store = BackendStore(host="::1", port=5432, database="a b", user="me@home")
    database = summary(TARGET.model_copy(update={"backend_store": store})).database
    assert database == "postgresql://me%40home@[::1]:5432/a%20b"
