"""The wiring of a deployment on Docker, with the engine's answers made up."""

import json
import re
from ipaddress import IPv4Network
from pathlib import Path, PurePosixPath
from typing import Any, cast

import pulumi
import pytest
from cryptography.fernet import Fernet
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, set_mocks

from infra.checks import data
from infra.components import nginx
from infra.components.traces import ARCHIVAL_FILE
from infra.docker import deployment as on_docker
from infra.docker import nfs_client, plan, ports, preflight
from infra.docker.container import duration
from infra.docker.files import LABEL_FILES
from infra.docker.schema_job import _checked
from infra.image import registry
from infra.names import Names
from infra.outputs import Target
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.load import load_spec
from scripts.offline.plugins.docker_resources.connection import Connection
from scripts.offline.plugins.docker_resources.container.resource import Container
from scripts.offline.plugins.docker_resources.network import Network
from scripts.offline.plugins.docker_resources.volume import Volume
from scripts.offline.plugins.protocol.codec import decode, encode
from scripts.offline.plugins.protocol.schema import check
from tests import certificates

PASSWORD = "generated-password"
RANDOM_BYTES = "+/" * 21 + "+="
WEBHOOK_KEY = "-_" * 21 + "-="
KEY = "private-key"
FOLDER = "/var/lib/mlflow/artifacts"
MULTI_AZ = {"zones": "2", "artifacts": "s3"}


class Engine(Mocks):
    """Answers with the inputs, plus what a provider would have filled in."""

    def __init__(self) -> None:
        self.made: list[MockResourceArgs] = []

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.made.append(args)
        outputs = dict(args.inputs)
        if args.typ == "random:index/randomPassword:RandomPassword":
            outputs["result"] = PASSWORD
        if args.typ == "random:index/randomBytes:RandomBytes":
            outputs["base64"] = RANDOM_BYTES
        if args.typ == "random:index/randomId:RandomId":
            outputs["hex"] = "0a1b2c3d"
        if args.typ == "docker:index/container:Container" and outputs.get("attach"):
            outputs["exitCode"] = 0
        if args.name.endswith("-image"):
            outputs["digest"] = "sha256:1"
        if args.name in ("tls", "tls-replicas", "tls-database"):
            outputs |= {"ca_certificate": f"CA of {args.name}", "certificate": "served", "key": KEY}
        return f"{args.name}-id", outputs

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise AssertionError(args.token)

    def containers(self) -> dict[str, dict[str, Any]]:
        """Those that are started."""
        containers = self.of("Container")
        return {name: one for name, one in containers.items() if one.get("start", True)}

    def files(self, component: str) -> Any:
        """What is uploaded for a component, into the container beside it."""
        return self.of("Container")[f"{component}-files"]["uploads"]

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {
            args.name: args.inputs
            for args in self.made
            if args.typ.startswith("docker:") and args.typ.endswith(f":{kind}")
        }

    def images(self) -> dict[str, str]:
        """The references of the images that are built or pulled by this project, by component."""
        return {
            args.name.removesuffix("-image"): args.inputs["reference"]
            for args in self.made
            if args.name.endswith("-image")
        }


class NoDocker:
    def close(self) -> None:
        pass

    def info(self) -> dict[str, int]:
        return {"MemTotal": 16 * 2**30}


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, event_loop_there: None) -> Engine:
    monkeypatch.setattr(on_docker, "connect", NoDocker)
    monkeypatch.setattr(plan, "connect", NoDocker)
    monkeypatch.setattr(plan, "check_external", lambda _: None)
    monkeypatch.setattr(plan, "check_data", lambda *_: None)
    monkeypatch.setattr(preflight, "check_port", lambda *_: None)
    monkeypatch.setattr(preflight, "failed_attempt", lambda *_: "")
    monkeypatch.setattr(on_docker, "wait_until_healthy", lambda *_: [])
    monkeypatch.setattr(on_docker, "wrong_answers", lambda *_, **__: [])
    monkeypatch.setattr(
        ports,
        "audit_ports",
        lambda _, containers: {name: 15000 + n for n, name in enumerate(containers)},
    )
    monkeypatch.setattr(
        plan,
        "subnets",
        lambda _, names, given: given or [IPv4Network(f"10.9.{n}.0/24") for n in range(len(names))],
    )
    engine = Engine()
    set_mocks(engine, project="mlflow-bench", stack="local", preview=False)
    return engine


def spec_of(**config: str) -> DeploymentSpec:
    values = {f"mlflow-bench:{key}": value for key, value in config.items()}
    return load_spec(values, Path.cwd(), secret_keys=values)


def deploy(engine: Engine, **config: str) -> Target:
    spec = spec_of(**config)
    found: list[Target] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[None]:
        return on_docker.Deployment("local", spec).target.apply(found.append)

    program()
    return found[0]


def test_target_names_every_container(engine: Engine) -> None:
    target = deploy(engine, port="5055")
    assert target.tracking_uri == "http://localhost:5055"
    running = {inputs["name"] for inputs in engine.containers().values()}
    named = {component.container for component in target.components}
    assert running - named == {"mlflow-bench-local-schema-job"}


def test_everything_carries_the_stack_and_the_deployment(engine: Engine) -> None:
    deploy(engine)
    things = {**engine.of("Container"), **engine.of("Volume"), **engine.of("Network")}
    assert len(things) >= 8
    for name, inputs in things.items():
        labels = {entry["label"]: entry["value"] for entry in inputs["labels"]}
        labels.pop(LABEL_FILES, None)
        assert labels == {
            "mlflow-bench.stack": "local",
            "mlflow-bench.component": name,
            "mlflow-bench.deployment": "0a1b2c3d",
        }
        assert inputs["name"] == f"mlflow-bench-local-{name}"


def test_containers_have_no_rights_to_spare(engine: Engine) -> None:
    deploy(engine)
    for inputs in engine.containers().values():
        assert inputs["readOnly"] is True
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert inputs["securityOpts"] == ["no-new-privileges:true"]
        assert not inputs.get("privileged")


def test_the_password_is_only_in_uploaded_files(engine: Engine) -> None:
    deploy(engine)
    for name, inputs in engine.containers().items():
        uploads = engine.files(name)
        assert all(upload["file"].startswith("/run/secrets/") for upload in uploads)
        assert PASSWORD not in json.dumps(inputs)
        assert PASSWORD in json.dumps(uploads)


def test_workspaces_are_told_to_whoever_uses_the_database(engine: Engine) -> None:
    assert not deploy(engine).workspaces
    target = deploy(engine, workspaces="true", trace_retention="30d", **MULTI_AZ)
    assert target.workspaces
    told = {
        name
        for name, inputs in engine.containers().items()
        if "MLFLOW_ENABLE_WORKSPACES=true" in inputs.get("envs", [])
    }
    assert told == {"mlflow-a-1", "mlflow-b-1", "trace-jobs"}
    assert "--workspaces" in engine.containers()["schema-job"]["command"]


def test_the_administrator_s_password_reaches_the_schema_job_alone(engine: Engine) -> None:
    target = deploy(engine, auth="basic", trace_retention="30d", **MULTI_AZ)
    assert target.username == "admin"
    assert PASSWORD not in target.model_dump_json()
    placed = {
        name: {PurePosixPath(upload["file"]).name for upload in engine.files(name)}
        for name in engine.containers()
    }
    replicas = {"mlflow-a-1", "mlflow-b-1"}
    assert {name for name in placed if "admin-password" in placed[name]} == {"schema-job"}
    assert {name for name in placed if "server-key" in placed[name]} == replicas
    assert {name for name in placed if "auth.ini" in placed[name]} == replicas
    for name, inputs in engine.containers().items():
        assert PASSWORD not in json.dumps(inputs), name


def test_the_secret_of_an_identity_provider_reaches_the_replicas_alone(
    engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("of the authority")
    known = {"issuer": "https://login.example.com", "client_id": "mlflow"}
    provider = known | {"client_secret": "never-to-be-seen", "ca": str(tmp_path / "ca.pem")}
    target = deploy(engine, auth="oidc", oidc=json.dumps(provider), **MULTI_AZ)
    assert target.username == "admin"
    placed = {}
    for name in engine.containers():
        uploads: Any = engine.files(name)
        # As the SDK writes a secret.
        uploads = uploads["value"] if isinstance(uploads, dict) else uploads
        placed[name] = {PurePosixPath(upload["file"]).name: upload for upload in uploads}
    replicas = {"mlflow-a-1", "mlflow-b-1"}
    for file in ("oidc-client-secret", "oidc-ca.crt", "oidc.json"):
        assert {name for name in placed if file in placed[name]} == replicas
    assert "never-to-be-seen" in json.dumps(placed["mlflow-a-1"]["oidc-client-secret"])
    for name, inputs in engine.containers().items():
        assert "never-to-be-seen" not in json.dumps(inputs), name


def test_files_come_by_a_container_that_never_runs(engine: Engine) -> None:
    """The engine refuses uploads into a read-only root, which is what a server has."""
    deploy(engine, **MULTI_AZ)
    for name, inputs in engine.containers().items():
        assert "uploads" not in inputs
        seed = engine.of("Container")[f"{name}-files"]
        assert not seed.get("readOnly")
        assert seed["mustRun"] is False
        assert seed["networkMode"] == "none"
        places = {one["containerPath"]: one["volumeName"] for one in seed["volumes"]}
        assert {str(PurePosixPath(one["file"]).parent) for one in engine.files(name)} == set(places)
        mounted = {
            one["containerPath"]: one["volumeName"]
            for one in inputs["volumes"]
            if one.get("readOnly")
        }
        assert mounted == places
        assert {"label": LABEL_FILES, "value": f"{name}-files-id"} in inputs["labels"]


def test_other_files_are_on_another_volume(engine: Engine) -> None:
    def names(**config: str) -> set[str]:
        engine.made.clear()
        deploy(engine, **config)
        return {name for name in engine.of("Volume") if name.startswith("mlflow-a-1-secrets-")}

    [plain], [with_keys], [again] = names(), names(artifacts="s3"), names()
    assert plain == again != with_keys


@pytest.mark.parametrize(
    ("seconds", "written"), [(2, "2s"), (59, "59s"), (60, "1m0s"), (180, "3m0s"), (3600, "1h0m0s")]
)
def test_times_are_written_as_docker_reads_them_back(seconds: int, written: str) -> None:
    assert duration(seconds) == written


def published(engine: Engine) -> dict[str, list[tuple[str, int, int]]]:
    return {
        name: [(port["ip"], port["external"], port["internal"]) for port in inputs["ports"]]
        for name, inputs in engine.containers().items()
        if inputs.get("ports")
    }


def test_only_the_server_is_opened_to_other_machines(engine: Engine) -> None:
    deploy(engine, bind="0.0.0.0", allowed_hosts="mlflow.example.com")
    assert published(engine) == {
        "postgres": [("127.0.0.1", 15000, 5432)],
        "mlflow-a-1": [("0.0.0.0", 5000, 5000)],
    }


def test_a_lone_replica_is_checked_at_the_address_of_the_stack(engine: Engine) -> None:
    target = deploy(engine, port="5005")
    assert {one.name: one.audit for one in target.components}["mlflow-a-1"] == "localhost:5005"
    assert target.artifact_store.volume == "mlflow-bench-local-artifacts"


def test_services_come_back_and_the_job_does_not(engine: Engine) -> None:
    deploy(engine)
    restart = {name: inputs["restart"] for name, inputs in engine.containers().items()}
    assert restart == {
        "postgres": "unless-stopped",
        "mlflow-a-1": "unless-stopped",
        "schema-job": "no",
    }


def test_order_is_database_then_job_then_server(engine: Engine) -> None:
    deploy(engine)
    order = list(engine.containers())
    assert order == ["postgres", "schema-job", "mlflow-a-1"]


def networks_of(container: dict[str, Any]) -> list[str]:
    return [
        entry["name"].removeprefix("mlflow-bench-local-") for entry in container["networksAdvanced"]
    ]


def opened(engine: Engine, component: str) -> set[tuple[str, int]]:
    """Address and port on this machine of all that a container opens."""
    ports = engine.containers()[component]["ports"]
    return {(port["ip"], port["external"]) for port in ports}


def presigned_endpoint(engine: Engine) -> list[str]:
    name = "MLFLOW_BENCH_PRESIGNED_ENDPOINT="
    envs = engine.containers()["mlflow-a-1"]["envs"]
    return [env.removeprefix(name) for env in envs if env.startswith(name)]


def test_s3_is_opened_to_clients_only_when_they_are_sent_there(engine: Engine) -> None:
    deploy(engine, artifacts="s3")
    assert len(opened(engine, "object-store")) == 1, "the one of checks"
    assert presigned_endpoint(engine) == []


@pytest.mark.parametrize(
    ("config", "address", "endpoint"),
    [
        ({}, "127.0.0.1", "http://127.0.0.1:9001"),
        ({"bind": "127.0.0.2"}, "127.0.0.2", "http://127.0.0.2:9001"),
        ({"bind": "0.0.0.0", "allowed_hosts": "a.b,c.d"}, "0.0.0.0", "http://a.b:9001"),
    ],
)
def test_presigned_urls_carry_the_address_that_s3_is_opened_at(
    engine: Engine, config: dict[str, str], address: str, endpoint: str
) -> None:
    target = deploy(engine, artifacts="s3", presigned="true", s3_port="9001", **config)
    assert opened(engine, "object-store") == {(address, 9001)}
    here = address.replace("0.0.0.0", "127.0.0.1")
    assert target.artifact_store.endpoint == f"http://{here}:9001"
    assert presigned_endpoint(engine) == [endpoint]
    envs = engine.containers()["mlflow-a-1"]["envs"]
    assert "MLFLOW_S3_ENDPOINT_URL=http://object-store:9000" in envs, "the server's own way"


@pytest.mark.parametrize(
    ("place", "endpoint"),
    [
        ({"endpoint": "https://s3.example.com"}, "https://s3.example.com"),
        ({"region": "eu-central-1"}, "https://s3.eu-central-1.amazonaws.com"),
    ],
)
def test_presigned_urls_of_an_external_bucket_carry_its_own_address(
    engine: Engine, place: dict[str, str], endpoint: str
) -> None:
    artifacts = json.dumps({"kind": "s3", "bucket": "team", **place})
    deploy(engine, artifacts=artifacts, presigned="true")
    assert presigned_endpoint(engine) == [endpoint]


@pytest.mark.parametrize("s3_engine", ["minio", "seaweedfs"])
def test_the_s3_engine_is_chosen_by_name(engine: Engine, s3_engine: str) -> None:
    deploy(engine, artifacts="s3", s3_engine=s3_engine)
    assert f"mlflow-bench/{s3_engine}:" in engine.images()["object-store"]


def test_only_one_replica_runs_jobs(engine: Engine) -> None:
    deploy(engine, jobs="true", **MULTI_AZ)
    containers = engine.containers()
    running = [
        name
        for name, inputs in containers.items()
        if "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=true" in inputs["envs"]
    ]
    assert running == ["mlflow-a-1"]


def test_given_images_are_used_and_not_built(engine: Engine) -> None:
    deploy(engine, mlflow_image="example.com/mlflow:1", postgres_image="example.com/pg:17")
    assert engine.images() == {"mlflow": "example.com/mlflow:1", "postgres": "example.com/pg:17"}
    assert set(contents_of(engine.made).values()) == {""}


def test_with_tls_nginx_is_in_front_of_one_replica_too(engine: Engine) -> None:
    target = deploy(engine, tls="true", port="5055", allowed_hosts="mlflow.example.com")
    assert target.tracking_uri == "https://localhost:5055"
    assert target.ca_file
    assert target.ca_file.endswith("/.state/tls/local.crt")
    uploads = {one["file"]: one["content"] for one in engine.files("nginx")}
    assert uploads["/run/secrets/tls-certificate"] == "served"
    assert uploads["/run/secrets/tls-key"] == KEY
    assert "ssl_certificate_key /run/secrets/tls-key;" in uploads[nginx.CONFIGURATION_FILE]
    containers = engine.containers()
    assert KEY not in json.dumps(containers)
    [client, status] = containers["nginx"]["ports"]
    assert (client["internal"], client["external"]) == (8080, 5055)
    assert status["ip"] == "127.0.0.1"
    [audit] = containers["mlflow-a-1"]["ports"]
    assert audit["ip"] == "127.0.0.1"
    assert containers["nginx"]["healthcheck"]["tests"] == ["CMD", "ready", "8082"]
    [made] = [args.inputs for args in engine.made if args.name == "tls"]
    assert made["hosts"] == ["localhost", "127.0.0.1", "::1", "mlflow.example.com"]


def test_tls_inside_is_from_nginx_to_the_replicas_and_to_the_database(engine: Engine) -> None:
    target = deploy(engine, tls="true", tls_inside="true", trace_retention="30d", **MULTI_AZ)
    pair = {"tls-certificate", "tls-key"}
    placed = {
        name: {
            PurePosixPath(upload["file"]).name: upload["content"] for upload in engine.files(name)
        }
        for name in engine.containers()
    }
    showing = {name for name, files in placed.items() if pair <= files.keys()}
    assert showing == {"postgres", "mlflow-a-1", "mlflow-b-1", "nginx"}
    assert placed["nginx"]["replicas-ca.crt"] == "CA of tls-replicas"
    assert "proxy_pass https://tracking;" in placed["nginx"]["nginx.conf"]
    for name in ("mlflow-a-1", "mlflow-b-1", "schema-job", "trace-jobs"):
        assert placed[name]["database-ca.crt"] == "CA of tls-database", name
        said = " ".join(engine.containers()[name]["command"])
        assert "?sslmode=verify-full&sslrootcert=/run/secrets/database-ca.crt&" in said, name
        assert ("--ssl-keyfile /run/secrets/tls-key" in said) == name.startswith("mlflow"), name
    assert KEY not in json.dumps(engine.containers())
    made = {args.name: args.inputs for args in engine.made}
    assert made["tls-replicas"]["hosts"] == ["mlflow-replica", "localhost", "127.0.0.1"]
    assert made["tls-database"]["hosts"] == ["postgres", "localhost", "127.0.0.1"]
    assert made["tls-inside-ca-file"]["content"] == "CA of tls-replicasCA of tls-database"
    inside = made["tls-inside-ca-file"]["path"]
    assert target.backend_store.ca_file == inside != target.ca_file
    assert {one.kind for one in target.components if one.ca_file == inside} == {"mlflow"}
    uris = [one.audit_uri for one in target.components if one.kind == "mlflow"]
    assert all(str(uri).startswith("https://127.0.0.1:") for uri in uris)


def test_tls_inside_leaves_an_external_database_to_its_own_settings(engine: Engine) -> None:
    database = json.dumps({"url": "postgresql://me:pw@db.example.com/m", "ssl_mode": "require"})
    target = deploy(engine, tls="true", tls_inside="true", database=database)
    assert target.backend_store.ca_file is None
    assert not [args for args in engine.made if args.name == "tls-database"]
    assert "sslmode=require&" in " ".join(engine.containers()["mlflow-a-1"]["command"])


def test_without_tls_nothing_is_of_it(engine: Engine) -> None:
    target = deploy(engine, **MULTI_AZ)
    assert target.ca_file is None
    assert not [args.name for args in engine.made if args.name.startswith("tls")]
    [settings] = engine.files("nginx")
    assert "ssl" not in settings["content"]


def test_a_certificate_of_ones_own(engine: Engine, tmp_path: Path) -> None:
    files = certificates.write(tmp_path / "own", "mlflow.example.com")
    tls = {"cert": str(files.cert), "key": str(files.key), "ca": str(files.ca)}
    target = deploy(engine, tls=json.dumps(tls), allowed_hosts="mlflow.example.com")
    assert target.tracking_uri == "https://mlflow.example.com:5000"
    assert target.ca_file == str(files.ca)
    # As the SDK writes a secret.
    uploads = {one["file"]: one["content"] for one in engine.files("nginx")["value"]}
    assert uploads["/run/secrets/tls-certificate"] == files.cert.read_text()
    assert uploads["/run/secrets/tls-key"] == files.key.read_text()


def test_opening_up_without_tls_and_users_is_said(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda line, *_: warned.append(line))
    deploy(engine)
    assert warned == []
    deploy(engine, bind="0.0.0.0", allowed_hosts="mlflow.example.com", tls="true")
    [line] = warned
    assert line.startswith("bind: 0.0.0.0: the server is open to others than this machine without ")
    assert "everybody who reaches it may read, change and delete" in line


REGISTRY = "registry.example.com/team"


def contents_of(made: list[MockResourceArgs]) -> dict[str, object]:
    """What each image is built from; empty: it is pulled."""
    return {
        args.name.removesuffix("-image"): args.inputs["context"]
        for args in made
        if args.name.endswith("-image")
    }


def test_images_come_from_the_registry_but_for_ones_own(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def missing(_: object, registry: str, contexts: list[Any]) -> list[str]:
        asked.extend(context.in_registry(registry) for context in contexts)
        return []

    monkeypatch.setattr(registry, "missing", missing)
    deploy(engine, image_registry=REGISTRY, postgres_image="example.com/pg:17", **MULTI_AZ)
    found = engine.images()
    assert found.pop("postgres") == "example.com/pg:17"
    assert {name: one.rpartition(":")[0] for name, one in found.items()} == {
        "mlflow": f"{REGISTRY}/mlflow",
        "object-store": f"{REGISTRY}/minio",
        "nginx": f"{REGISTRY}/nginx",
    }
    assert sorted(asked) == sorted(found.values())
    assert set(contents_of(engine.made).values()) == {""}

    engine.made.clear()
    (tmp_path / "setup.py").write_text("")
    deploy(engine, image_registry=REGISTRY, mlflow=str(tmp_path))
    assert engine.images()["mlflow"].startswith("mlflow-bench/mlflow:")
    assert contents_of(engine.made)["mlflow"]
    assert engine.images()["postgres"].startswith(f"{REGISTRY}/postgres:")


def test_images_that_the_registry_has_not_are_one_line_with_the_command(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "missing", lambda *_: ["minio", "nginx"])
    with pytest.raises(
        SpecError,
        match=rf"^image_registry: {REGISTRY}: has no minio:\w{{12}}, nginx:\w{{12}}; push: "
        rf"scripts/images push {REGISTRY} minio nginx --base-image debian:13$",
    ):
        deploy(engine, image_registry=REGISTRY, base_image="debian:13", **MULTI_AZ)

    def down(*_: object) -> list[str]:
        raise registry.RegistryError("it refuses")

    monkeypatch.setattr(registry, "missing", down)
    with pytest.raises(SpecError, match=r"^image_registry: it refuses$"):
        deploy(engine, image_registry=REGISTRY)


def test_memory_limits_reach_docker_in_mebibytes(engine: Engine) -> None:
    limits = {"mlflow_memory": "1g", "postgres_memory": "900m", "trace_jobs_memory": "500m"}
    deploy(engine, trace_archival="30d", **limits)
    containers = engine.containers()
    assert [containers[n]["memory"] for n in ("mlflow-a-1", "postgres", "trace-jobs")] == [
        *(1024, 900, 500)
    ]


def test_postgres_settings_follow_its_limit_or_the_machine(engine: Engine) -> None:
    deploy(engine)
    [of_machine] = (c for n, c in engine.containers().items() if n == "postgres")
    assert "shared_buffers=1048576kB" in of_machine["command"], "a quarter of a quarter of 16 GiB"
    assert of_machine["shmSize"] == 482
    deploy(engine, postgres_memory="2g")
    limited = engine.containers()["postgres"]
    assert "shared_buffers=524288kB" in limited["command"]
    for weakened in ("fsync", "synchronous_commit", "full_page_writes"):
        assert weakened not in str(limited["command"])


def test_a_limit_beyond_the_machine_is_refused(engine: Engine) -> None:
    with pytest.raises(SpecError, match="postgres_memory: 32768m: the machine has 16384m; lower"):
        deploy(engine, postgres_memory="32g")
    with pytest.raises(
        SpecError, match=r"^workers: PostgreSQL's 4000 connections need .* set fewer"
    ):
        preflight.postgres_memory(cast("Any", NoDocker()), None, 4000)


SECRET_MARK = "4dabf18193072939515e22adb298388d"
"""Key by which Pulumi's protocol marks a value as secret."""

EXTERNAL = {
    "artifacts": json.dumps(
        {
            "kind": "s3",
            "bucket": "team",
            "endpoint": "https://s3.example.com",
            "access_key": "key",
            "secret_key": "bucket-secret",
            "session_token": "bucket-token",
            "prefix": "a/b",
        }
    ),
    "database": '{"url": "postgresql://me:database-secret@db.example.com/runs"}',
}


def test_servers_and_the_job_reach_external_services_alike(engine: Engine) -> None:
    deploy(engine, **EXTERNAL)
    containers = engine.containers()
    job, server = containers["schema-job"], containers["mlflow-a-1"]
    uri = "postgresql+psycopg2://me@db.example.com:5432/runs?sslmode=require&"
    assert any(one.startswith(f"--backend-store-uri={uri}") for one in server["command"])
    assert any(one.startswith(f"--database-uri={uri}") for one in job["command"])
    assert "--artifacts-service=https://s3.example.com" in job["command"]
    for name, container in {"schema-job": job, "mlflow-a-1": server}.items():
        uploads = engine.files(name)
        assert "MLFLOW_S3_ENDPOINT_URL=https://s3.example.com" in container["envs"]
        assert uploads[SECRET_MARK], "so that the state has them encrypted"
        files = {one["file"]: one["content"] for one in uploads["value"]}
        assert files["/run/secrets/database-password"] == "database-secret"
        assert "aws_session_token=bucket-token" in files["/run/secrets/aws-credentials"]
        rest = json.dumps(container)
        for secret in ("database-secret", "bucket-secret", "bucket-token"):
            assert secret not in rest


def test_all_servers_and_jobs_encrypt_by_the_same_keys(engine: Engine) -> None:
    deploy(engine, **MULTI_AZ, trace_retention="30d")
    Fernet(WEBHOOK_KEY)  # it is one
    for name in ("schema-job", "mlflow-a-1", "mlflow-b-1", "trace-jobs"):
        files = {upload["file"]: upload["content"] for upload in engine.files(name)}
        assert files["/run/secrets/webhook-key"] == WEBHOOK_KEY
        assert files["/run/secrets/gateway-passphrase"] == PASSWORD
        assert WEBHOOK_KEY not in json.dumps(engine.containers()[name])
    for name in ("postgres", "nginx"):
        assert WEBHOOK_KEY not in json.dumps(engine.files(name))
    [key] = [made for made in engine.made if made.typ == "random:index/randomBytes:RandomBytes"]
    assert key.inputs == {"length": 32}  # nothing that would renew it


def test_a_machine_s_role_needs_no_credentials_file(engine: Engine) -> None:
    deploy(engine, artifacts='{"kind": "s3", "bucket": "team", "region": "eu-central-1"}')
    server = engine.containers()["mlflow-a-1"]
    uploads = engine.files("mlflow-a-1")
    assert [PurePosixPath(upload["file"]).name for upload in uploads] == [
        "database-password",
        "gateway-passphrase",
        "webhook-key",
    ]
    assert "AWS_DEFAULT_REGION=eu-central-1" in server["envs"]
    assert not [one for one in server["envs"] if "CREDENTIALS" in one or "ENDPOINT" in one]


@pytest.mark.parametrize(("status", "logs"), [(3, "refused: newer"), (1, None), (None, "")])
def test_a_job_that_did_not_succeed_stops_the_deployment(
    status: int | None, logs: str | None
) -> None:
    with pytest.raises(pulumi.RunError, match="schema job: exit status"):
        _checked("image", status, logs)


def test_a_job_that_succeeded_hands_the_image_on() -> None:
    assert _checked("image", 0, "ok") == "image"


MULTI_AZ_NFS = {"zones": "2", "artifacts": "nfs"}


def mounted_by(monkeypatch: pytest.MonkeyPatch, *, kernel: bool, apparmor: bool = False) -> None:
    mounting = nfs_client.Mounting(kernel, apparmor, "as the test says")
    monkeypatch.setattr(nfs_client, "choose", lambda *_: mounting)


def test_nfs_by_fuse_is_mounted_by_the_replicas_and_the_job(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted_by(monkeypatch, kernel=False)
    target = deploy(engine, **MULTI_AZ_NFS)
    containers = engine.containers()
    for name in ("mlflow-a-1", "mlflow-b-1", "schema-job"):
        inputs = containers[name]
        assert {"NFS_SERVER=nfs", "NFS_EXPORT=/artifacts"} <= set(inputs["envs"])
        assert inputs["user"] == "0:0"
        assert inputs["capabilities"]["adds"] == [
            "CAP_KILL",
            "CAP_SETGID",
            "CAP_SETUID",
            "CAP_SYS_ADMIN",
        ]
        assert inputs["devices"] == [{"hostPath": "/dev/fuse"}]
        assert inputs["securityOpts"] == ["no-new-privileges:true"]
    assert "user" not in containers["postgres"]
    assert target.artifacts == "nfs"
    assert target.artifact_store.volume == "mlflow-bench-local-nfs-data"
    assert {one.name: one.audit for one in target.components}["nfs"] is None


def test_apparmor_lets_a_replica_mount(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted_by(monkeypatch, kernel=False, apparmor=True)
    deploy(engine, **MULTI_AZ_NFS)
    options = engine.containers()["mlflow-a-1"]["securityOpts"]
    assert options == ["no-new-privileges:true", "apparmor=unconfined"]


def test_nfs_by_the_kernel_is_a_volume_that_loses_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted_by(monkeypatch, kernel=True)
    deploy(engine, subnets="10.89.4.0/24,10.89.5.0/24", **MULTI_AZ_NFS)
    options = engine.of("Volume")["artifacts"]["driverOpts"]
    assert (options["type"], options["device"]) == ("nfs", ":/artifacts")
    words = set(options["o"].split(","))
    assert {"addr=10.89.4.238", "nfsvers=4.2", "hard", "actimeo=0", "lookupcache=none"} <= words
    containers = engine.containers()
    for name in ("mlflow-a-1", "mlflow-b-1", "schema-job"):
        assert {
            "containerPath": FOLDER,
            "volumeName": "mlflow-bench-local-artifacts",
        } in containers[name]["volumes"]
        assert containers[name]["capabilities"] == {"drops": ["ALL"]}
    [place, _] = containers["nfs"]["networksAdvanced"]
    assert place["ipv4Address"] == "10.89.4.238"


def test_the_nfs_server_serves_the_zones_and_has_a_profile_of_its_own(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted_by(monkeypatch, kernel=False)
    deploy(engine, subnets="10.89.4.0/24,10.89.5.0/24", **MULTI_AZ_NFS)
    server = engine.containers()["nfs"]
    assert server["envs"] == ["NFS_CLIENTS=10.89.4.0/24,10.89.5.0/24"]
    assert networks_of(server) == ["network-a", "network-b"]
    assert not server.get("ports")
    [_, profile] = server["securityOpts"]
    allowed = json.loads(profile.removeprefix("seccomp="))
    assert allowed["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {"mount", "ptrace", "bpf", "unshare", "setns"}.isdisjoint(
        allowed["syscalls"][0]["names"]
    )


def test_an_export_of_ones_own_is_mounted_and_nothing_serves_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted_by(monkeypatch, kernel=True)
    monkeypatch.setattr(plan, "check_external", lambda _: None)
    given = {
        "kind": "nfs",
        "server": "nas",
        "path": "/mlflow",
        "version": "3",
        "options": "sec=sys",
    }
    deploy(engine, zones="2", artifacts=json.dumps(given))
    options = engine.of("Volume")["artifacts"]["driverOpts"]
    assert options["device"] == ":/mlflow"
    assert options["o"].startswith("addr=nas,nfsvers=3,")
    assert options["o"].endswith(",sec=sys")
    assert "nfs" not in engine.containers()
    job = engine.containers()["schema-job"]["command"]
    assert "--artifacts-service=nfs://nas/mlflow" in job


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"postgres_memory": "1g"},
        MULTI_AZ,
        {"zones": "2", "artifacts": "nfs"},
    ],
)
def test_everything_is_declared_as_docker_gives_it_back(
    engine: Engine, config: dict[str, str]
) -> None:
    """The bundled plugin refuses any other form, as the official one would change it for ever."""
    deploy(engine, **config)
    connection = Connection()
    for resource in (Container(connection), Network(connection), Volume(connection)):
        for name, inputs in engine.of(type(resource).__name__).items():
            given = decode(encode(inputs))
            failures = check(given, resource.table, "docker") or resource.check(given)
            assert failures == [], name


@pytest.mark.parametrize(
    ("config", "stores"),
    [
        ({}, {"postgres-data", "artifacts"}),
        ({"artifacts": "s3"}, {"postgres-data", "object-store-data"}),
        (
            {"artifacts": "s3", "s3_engine": "seaweedfs"},
            {"postgres-data", "object-store-seaweedfs-data"},
        ),
        ({"artifacts": "nfs"}, {"postgres-data", "nfs-data"}),
        (EXTERNAL, set()),
    ],
)
@pytest.mark.parametrize("kernel", [True, False])
def test_the_check_of_data_knows_every_volume_that_has_some(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, str],
    stores: set[str],
    kernel: bool,
) -> None:
    mounted_by(monkeypatch, kernel=kernel)
    deploy(engine, **config)
    resources = [
        {"urn": f"urn::{args.name}", "type": args.typ, "inputs": args.inputs}
        for args in engine.made
    ]
    found = data.stores_in(resources, Names("local"))
    assert {store.name.removeprefix("mlflow-bench-local-") for store in found} == stores
    values = {f"mlflow-bench:{key}": value for key, value in config.items()}
    wanted = data.planned_places("local", load_spec(values, Path.cwd(), secret_keys=values))
    assert data.lost(found, wanted) == []
    # All other volumes are filled anew by each deployment, or are mounts of something.
    mounts = {"artifacts"} if kernel else set()
    others = set(engine.of("Volume")) - stores
    anew = re.compile(r".*-(secrets|settings)-[0-9a-f]{8}|.*-spool")
    assert {name for name in others if not anew.fullmatch(name)} <= mounts


def test_new_labels_replace_no_volume_that_holds_data(engine: Engine) -> None:
    kept: set[str] = set()

    def note(args: pulumi.ResourceTransformationArgs) -> None:
        if args.type_ == data.VOLUME and args.opts.ignore_changes == ["labels"]:
            kept.add(args.name)

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[Any]:
        opts = pulumi.ResourceOptions(transformations=[note])
        return on_docker.Deployment("local", load_spec({}, Path.cwd()), opts).target

    program()
    assert kept == {"postgres-data", "artifacts"}


def test_two_deployments_in_one_program_share_no_name(engine: Engine) -> None:
    """One is named as the Pulumi stack and has the names that states have; the other is not."""
    registered: list[str] = []

    def note(args: pulumi.ResourceTransformationArgs) -> None:
        registered.append(f"{args.type_}::{args.name}")

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[Any]:
        pulumi.runtime.register_stack_transformation(note)
        deployments = [
            on_docker.Deployment(name, spec_of(**MULTI_AZ, port=port))
            for name, port in (("local", "5055"), ("second", "5056"))
        ]
        return pulumi.Output.all(*(deployment.target for deployment in deployments))

    program()
    assert len(registered) == len(set(registered))
    own = [urn for urn in registered if "::second" not in urn]
    others = [urn for urn in registered if "::second" in urn]
    assert [name.replace("::second-", "::") for name in others[1:]] == own[1:]
    physical = [
        inputs["name"]
        for kind in ("Container", "Volume", "Network")
        for inputs in engine.of(kind).values()
    ]
    assert len(physical) == len(set(physical))


OLD_TRACES = {"trace_archival": "30d", "trace_rollups": "true"}


def test_one_container_does_the_jobs_of_traces_after_all_replicas(engine: Engine) -> None:
    target = deploy(engine, **MULTI_AZ, **OLD_TRACES)
    containers = engine.containers()
    jobs = containers["trace-jobs"]
    assert jobs["command"][0] == "trace-jobs"
    assert jobs["image"] == containers["mlflow-a-1"]["image"]
    order = [args.name for args in engine.made]
    assert order.index("trace-jobs") > order.index("mlflow-b-1")
    assert [one.name for one in target.components if one.kind == "trace-jobs"] == ["trace-jobs"]
    for name in ("trace-jobs", "mlflow-a-1", "mlflow-b-1"):
        assert "MLFLOW_SQL_TRACE_ROLLUPS_ENABLED=true" in containers[name]["envs"]
        mounted = {volume["containerPath"] for volume in containers[name]["volumes"]}
        assert str(ARCHIVAL_FILE.parent) in mounted


def test_without_keys_of_traces_there_is_no_such_container(engine: Engine) -> None:
    deploy(engine, **MULTI_AZ)
    assert "trace-jobs" not in engine.containers()


def test_the_jobs_reach_artifacts_in_a_volume(engine: Engine) -> None:
    deploy(engine, trace_retention="1d")
    mounted = {
        volume["containerPath"]: volume["volumeName"]
        for volume in engine.containers()["trace-jobs"]["volumes"]
    }
    [replica] = (
        volume["volumeName"]
        for volume in engine.containers()["mlflow-a-1"]["volumes"]
        if volume["containerPath"] == FOLDER
    )
    assert mounted[FOLDER] == replica
