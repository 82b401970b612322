"""The wiring of a deployment on Kubernetes, with the engine's answers made up."""

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, set_mocks

import infra.docker.object_store
import infra.docker.postgres
import infra.docker.schema_job
import infra.kubernetes.object_store
import infra.kubernetes.postgres
import infra.kubernetes.schema_job
from infra.kubernetes import deployment as on_kubernetes
from infra.kubernetes import preflight
from infra.kubernetes.image import _name
from infra.outputs import AuditSecrets, Target
from infra.spec import SpecError, load_spec

PASSWORD = "generated-password"
CLUSTER = {"platform": "kubernetes", "artifacts": "s3"}
PORTS = {"mlflow": 5000, "postgres": 40001, "object-store": 40002}


class Engine(Mocks):
    """Answers with the inputs, plus what a provider would have filled in."""

    def __init__(self) -> None:
        self.made: list[MockResourceArgs] = []

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.made.append(args)
        outputs = dict(args.inputs)
        if args.typ == "random:index/randomPassword:RandomPassword":
            outputs["result"] = PASSWORD
        if args.typ == "docker:index/image:Image":
            outputs["repoDigest"] = "sha256:0123456789abcdef"
        if args.name == "port-forward":
            outputs["ports"] = PORTS
        if args.name.endswith("-loaded"):
            outputs["name"] = f"loaded/{args.name.removesuffix('-loaded')}:1"
        return f"{args.name}-id", outputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise AssertionError(args.token)

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {
            args.name: args.inputs
            for args in self.made
            if args.typ.startswith("kubernetes:") and args.typ.endswith(f":{kind}")
        }

    def pods(self) -> dict[str, dict[str, Any]]:
        """The pod templates by component."""
        return {
            name: inputs["spec"]["template"]["spec"]
            for kind in ("Deployment", "StatefulSet", "Job")
            for name, inputs in self.of(kind).items()
        }


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(on_kubernetes, "check_external", lambda _: None)
    monkeypatch.setattr(preflight, "check_cluster", lambda *_: None)
    monkeypatch.setattr(preflight, "check_port", lambda *_: None)
    monkeypatch.setattr(on_kubernetes, "wrong_answers", lambda *_: [])
    engine = Engine()
    set_mocks(engine, project="mlflow-bench", stack="k8s")
    return engine


def deploy(context: str = "mlflow-bench-test", **config: str) -> tuple[Target, AuditSecrets]:
    settings = CLUSTER | {"kubernetes": json.dumps({"context": context})} | config
    values = {f"mlflow-bench:{key}": value for key, value in settings.items()}
    spec = load_spec(values, Path.cwd(), secret_keys=values)
    found: list[Any] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[None]:
        made = on_kubernetes.Deployment("k8s", spec)
        return pulumi.Output.all(made.target, made.secrets).apply(found.extend)

    program()
    return found[0], found[1]


def test_the_target_leads_to_every_component(engine: Engine) -> None:
    target, secrets = deploy(replicas="3")
    assert target.tracking_uri == "http://localhost:5000"
    assert target.replicas == 3
    assert {one.name: (one.container, one.audit) for one in target.components} == {
        "postgres": ("statefulset/postgres", "127.0.0.1:40001"),
        "object-store": ("statefulset/object-store", "127.0.0.1:40002"),
        "mlflow": ("deployment/mlflow", "127.0.0.1:5000"),
    }
    assert (target.backend_store.host, target.backend_store.port) == ("127.0.0.1", 40001)
    assert target.artifact_store.endpoint == "http://127.0.0.1:40002"
    assert secrets.database_password == PASSWORD


def test_every_pod_keeps_to_the_restricted_level(engine: Engine) -> None:
    deploy()
    assert set(engine.pods()) == {"postgres", "object-store", "schema-job", "mlflow"}
    for pod in engine.pods().values():
        rights = pod["securityContext"]
        assert rights["runAsNonRoot"] is True
        assert rights["runAsUser"] == rights["fsGroup"] >= 10001
        assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        # MLflow would read MLFLOW_PORT and its like.
        assert pod["enableServiceLinks"] is False
        [container] = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert PASSWORD not in json.dumps(pod)


def test_servers_start_after_the_schema_job_and_roll_without_a_gap(engine: Engine) -> None:
    deploy(replicas="2")
    order = [args.typ.rpartition(":")[2] for args in engine.made]
    assert order.index("Job") < order.index("Deployment", order.index("StatefulSet"))
    spec = engine.of("Deployment")["mlflow"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    [container] = engine.pods()["mlflow"]["containers"]
    drain = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert engine.pods()["mlflow"]["terminationGracePeriodSeconds"] > drain > 0
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["exec"]["command"] == ["ready"]
    assert container["resources"]["requests"]["memory"] == "650Mi"
    assert "limits" not in container["resources"]


def test_limits_are_those_of_the_stack_file(engine: Engine) -> None:
    deploy(mlflow_memory="1g", postgres_memory="2g")
    for name, size in (("mlflow", "1024Mi"), ("postgres", "2048Mi")):
        [container] = engine.pods()[name]["containers"]
        assert container["resources"]["limits"] == {"memory": size}
        assert container["resources"]["requests"]["memory"] == size


def test_only_the_servers_and_the_job_reach_the_stores(engine: Engine) -> None:
    deploy()
    policies = engine.of("NetworkPolicy")
    for store in ("postgres", "object-store"):
        [rule] = policies[store]["spec"]["ingress"]
        assert rule["from"] == [{"podSelector": {"matchLabels": {"mlflow-bench.client": "true"}}}]
    assert "from" not in policies["mlflow"]["spec"]["ingress"][0]
    templates = {
        name: inputs["spec"]["template"]
        for kind in ("Deployment", "StatefulSet", "Job")
        for name, inputs in engine.of(kind).items()
    }
    clients = {
        name
        for name, one in templates.items()
        if "mlflow-bench.client" in one["metadata"]["labels"]
    }
    assert clients == {"mlflow", "schema-job"}


def test_another_cluster_runs_images_by_reference_only(engine: Engine) -> None:
    with pytest.raises(SpecError) as caught:
        deploy(context="work")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "mlflow_image",
        "postgres_image",
        "object_store_image",
    ]
    images = {
        f"{name}_image": f"registry.example.com/{name}:1"
        for name in ("mlflow", "postgres", "object_store")
    }
    deploy(context="work", **images)
    used = {pod["containers"][0]["image"] for pod in engine.pods().values()}
    assert used == set(images.values())
    assert [args for args in engine.made if args.typ.startswith("docker:")] == []


def test_a_database_of_ones_own_takes_the_place_of_the_stacks(engine: Engine) -> None:
    deploy(
        context="work",
        mlflow_image="a/mlflow:1",
        object_store_image="a/minio:1",
        database='{"url": "postgresql://me:hidden-pass@db.example.com/mlflow"}',
    )
    assert "postgres" not in engine.pods()
    assert "hidden-pass" not in json.dumps(list(engine.pods().values()))


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("mlflow-bench/mlflow:0a1b", "mlflow-bench/mlflow:0123456789ab"),
        ("registry.example.com:5000/team/mlflow:1", "mlflow-bench/mlflow:0123456789ab"),
    ],
)
def test_a_loaded_image_is_named_by_its_digest(image: str, name: str) -> None:
    assert _name({"image": image, "digest": "sha256:0123456789abcdef"}) == name


@pytest.mark.parametrize(
    ("docker", "kubernetes"),
    [
        (infra.docker.postgres.Postgres, infra.kubernetes.postgres.Postgres),
        (infra.docker.object_store.ObjectStore, infra.kubernetes.object_store.ObjectStore),
        (infra.docker.schema_job.SchemaJob, infra.kubernetes.schema_job.SchemaJob),
    ],
)
def test_components_of_one_name_have_the_same_outputs(docker: Any, kubernetes: Any) -> None:
    assert docker.__annotations__ == kubernetes.__annotations__
