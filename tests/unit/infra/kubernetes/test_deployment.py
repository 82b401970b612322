"""The wiring of a deployment on Kubernetes, with the engine's answers made up."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pulumi
import pytest
import yaml
from kubernetes.config import kube_config
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks, set_mocks

import infra.docker.load_balancer
import infra.docker.object_store
import infra.docker.postgres
import infra.docker.schema_job
import infra.kubernetes.load_balancer
import infra.kubernetes.object_store
import infra.kubernetes.postgres
import infra.kubernetes.schema_job
from infra import releases
from infra.checks import data
from infra.components.nginx import configuration_by_name
from infra.components.traces import ARCHIVAL_FILE, READY_FILE
from infra.kubernetes import autoscaler, preflight, rollout
from infra.kubernetes import deployment as on_kubernetes
from infra.kubernetes.image import Loader, _name
from infra.kubernetes.local_cluster import load_command
from infra.kubernetes.pod import PodSettings
from infra.kubernetes.schema_revision import ANNOTATION, RevisionProvider
from infra.kubernetes.workload import await_timeouts
from infra.names import Names
from infra.outputs import AuditSecrets, Target
from infra.releases import contents
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.load import load_spec
from workloads.in_cluster.job_manifest import manifest

KIND_DEPLOYMENT = "kubernetes:apps/v1:Deployment"
PASSWORD = "generated-password"
KEY = "private-key"
CLUSTER = {"platform": "kubernetes", "artifacts": "s3"}
PORTS = {
    "main": 5000,
    "postgres": 40001,
    "object-store": 40002,
    "mlflow-1": 40003,
    "mlflow-2": 40004,
    "mlflow-3": 40005,
    "nginx-1": 40006,
    "nginx-2": 40007,
}


class Engine(Mocks):
    """Answers with the inputs, plus what a provider would have filled in."""

    def __init__(self) -> None:
        self.made: list[MockResourceArgs] = []
        self.salt = "salt"

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        self.made.append(args)
        outputs = dict(args.inputs)
        if args.typ == "random:index/randomPassword:RandomPassword":
            outputs["result"] = self.salt if args.name == "secrets-salt" else PASSWORD
        if args.typ == "random:index/randomBytes:RandomBytes":
            outputs["base64"] = "+/" * 21 + "+="
        if args.name.endswith("-image"):
            outputs["digest"] = "sha256:0123456789abcdef"
        if args.typ.endswith(":PersistentVolumeClaim"):
            outputs["metadata"] = outputs["metadata"] | {"uid": f"uid of {args.name}"}
        if args.name in ("tls", "tls-replicas", "tls-database"):
            outputs |= {"ca_certificate": f"CA of {args.name}", "certificate": "served", "key": KEY}
        if args.name.endswith("port-forward"):
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
def engine(monkeypatch: pytest.MonkeyPatch, event_loop_there: None) -> Engine:
    monkeypatch.setattr(on_kubernetes, "check_external", lambda _: [])
    monkeypatch.setattr(on_kubernetes, "check_data", lambda *_: None)
    monkeypatch.setattr(preflight, "check_cluster", lambda *_: None)
    monkeypatch.setattr(preflight, "check_port", lambda *_: None)
    monkeypatch.setattr(preflight, "no_metrics", lambda *_: None)
    monkeypatch.setattr(on_kubernetes, "wrong_answers", lambda *_, **__: [])
    monkeypatch.setattr(rollout, "_wait", lambda *_: None)
    monkeypatch.setattr(autoscaler, "_remove", lambda *_: None)
    engine = Engine()
    set_mocks(engine, project="mlflow-bench", stack="k8s")
    return engine


def spec_of(
    context: str = "mlflow-bench-test", more: dict[str, Any] | None = None, **config: str
) -> DeploymentSpec:
    cluster = {"context": context} | (more or {})
    settings = CLUSTER | {"kubernetes": json.dumps(cluster)} | config
    values = {f"mlflow-bench:{key}": value for key, value in settings.items()}
    return load_spec(values, Path.cwd(), secret_keys=values)


def deploy(
    context: str = "mlflow-bench-test", more: dict[str, Any] | None = None, **config: str
) -> tuple[Target, AuditSecrets]:
    spec = spec_of(context, more, **config)
    outputs: list[Any] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[None]:
        made = on_kubernetes.Deployment("k8s", spec)
        return pulumi.Output.all(made.target, made.secrets).apply(outputs.extend)

    program()
    return outputs[0], outputs[1]


def test_the_target_leads_to_every_component(engine: Engine) -> None:
    target, secrets = deploy(replicas="2")
    assert target.tracking_uri == "http://localhost:5000"
    assert target.replicas == 2
    assert {
        component.name: (component.container, component.audit) for component in target.components
    } == {
        "postgres": ("statefulset/postgres", "127.0.0.1:40001"),
        "object-store": ("statefulset/object-store", "127.0.0.1:40002"),
        "mlflow-1": ("deployment/mlflow", "127.0.0.1:40003"),
        "mlflow-2": ("deployment/mlflow", "127.0.0.1:40004"),
        "nginx-1": ("deployment/nginx", "127.0.0.1:40006"),
        "nginx-2": ("deployment/nginx", "127.0.0.1:40007"),
    }
    assert target.cluster is not None
    assert target.cluster.model_dump() == {
        "context": "mlflow-bench-test",
        "namespace": "mlflow-bench-k8s",
        "tracking_uri": "http://mlflow.mlflow-bench-k8s.svc:5000",
        "load_image": None,
        "image_pull_secrets": (),
    }
    assert (target.backend_store.host, target.backend_store.port) == ("127.0.0.1", 40001)
    assert target.artifact_store.endpoint == "http://127.0.0.1:40002"
    assert secrets.database_password == PASSWORD


def test_the_plugin_is_handed_a_context_and_nothing_of_a_kubeconfig(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The SDK hands over the text of this variable where it is given none.
    monkeypatch.setenv("KUBECONFIG", "/home/me/.kube/config:/home/me/other")
    deploy()
    [provider] = [args.inputs for args in engine.made if args.typ == "pulumi:providers:kubernetes"]
    assert provider["kubeconfig"] == ""
    assert provider["context"] == provider["clusterIdentifier"] == "mlflow-bench-test"


def test_pods_are_waited_for_as_long_as_the_stack_file_says() -> None:
    pod = PodSettings(image="any", command=[], user=1, request_memory=1, start_timeout=900)
    timeouts = await_timeouts(pod, 3).custom_timeouts
    assert timeouts is not None
    assert (timeouts.create, timeouts.update) == ("960s", "2880s")


def wanted_ports(engine: Engine) -> list[dict[str, Any]]:
    [forward] = [args for args in engine.made if args.name == "port-forward"]
    ports: list[dict[str, Any]] = forward.inputs["wanted"]
    return ports


def test_a_port_leads_to_each_pod_that_may_be(engine: Engine) -> None:
    deploy()
    assert {
        port["name"]: (port["service"], port["target"], port["number"])
        for port in wanted_ports(engine)
    } == {
        "main": ("mlflow", 8080, 0),
        "postgres": ("postgres", 5432, 0),
        "object-store": ("object-store", 9000, 0),
        "mlflow-1": ("mlflow-replicas", 5000, 1),
        "mlflow-2": ("mlflow-replicas", 5000, 2),
        "mlflow-3": ("mlflow-replicas", 5000, 3),
        "nginx-1": ("mlflow", 8081, 1),
        "nginx-2": ("mlflow", 8081, 2),
    }
    assert [port["port"] for port in wanted_ports(engine) if port["port"]] == [5000]


def test_scaling_changes_nothing_but_the_number_of_replicas(engine: Engine) -> None:
    deployments = []
    for replicas in ("1", "3"):
        engine.made.clear()
        deploy(replicas=replicas)
        deployments.append({(args.typ, args.name): args.inputs for args in engine.made})
    changed = {
        name for (_, name), inputs in deployments[1].items() if inputs != deployments[0][_, name]
    }
    assert changed == {"mlflow"}
    former, later = (inputs[KIND_DEPLOYMENT, "mlflow"]["spec"] for inputs in deployments)
    assert (former.pop("replicas"), later.pop("replicas")) == (1, 3)
    assert former == later


def test_an_autoscaler_has_the_number_of_replicas_to_itself(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[tuple[str, ...]] = []

    def remove(*which: str) -> None:
        # One of before would set its own number after the Deployment's update.
        assert "mlflow" not in engine.of("Deployment")
        removed.append(which)

    monkeypatch.setattr(autoscaler, "_remove", remove)
    deploy()
    assert removed == [("mlflow-bench-test", "mlflow-bench-k8s", "mlflow", "k8s")]
    assert engine.of("HorizontalPodAutoscaler") == {}
    deploy(more={"autoscale": True, "max_replicas": 3}, replicas="2", workers="2")
    [scaler] = engine.of("HorizontalPodAutoscaler").values()
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 3)
    [metric] = scaler["spec"]["metrics"]
    assert metric["resource"]["target"] == {"type": "AverageValue", "averageValue": "1400m"}
    assert scaler["spec"]["scaleTargetRef"]["name"] == "mlflow"
    assert "replicas" not in engine.of("Deployment")["mlflow"]["spec"]


def test_prometheus_may_ask_the_replicas_where_a_monitor_is_wanted(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def peers() -> list[str]:
        [rule] = engine.of("NetworkPolicy")["mlflow"]["spec"]["ingress"]
        return [next(iter(peer)) for peer in rule["from"]]

    def counts() -> bool:
        [container] = engine.pods()["mlflow"]["containers"]
        return "PROMETHEUS_MULTIPROC_DIR" in {variable["name"] for variable in container["env"]}

    deploy()
    assert engine.of("ServiceMonitor") == {}
    assert peers() == ["podSelector"]
    assert not counts()
    monitored = {"monitoring": {"namespace": "watch", "labels": {"release": "prometheus"}}}
    monkeypatch.setattr(preflight, "_groups", lambda _: {"apps"})
    with pytest.raises(SpecError, match=r"kubernetes\.monitoring: .* has no ServiceMonitor"):
        deploy(more=monitored)
    monkeypatch.setattr(preflight, "_groups", lambda _: {"apps", "monitoring.coreos.com"})
    deploy(more=monitored)
    [monitor] = engine.of("ServiceMonitor").values()
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"]["endpoints"] == [{"port": "main", "path": "/metrics"}]
    assert peers() == ["podSelector", "namespaceSelector"]
    assert counts()


def test_prometheus_shows_and_verifies_what_the_replicas_ask(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "_groups", lambda _: {"apps", "monitoring.coreos.com"})
    monitored = {"monitoring": {"namespace": "watch"}}
    deploy(more=monitored, auth="basic", tls="true", tls_inside="true")
    secrets = {name: one["stringData"]["value"] for name, one in engine.of("Secret").items()}
    assert secrets["mlflow-monitor"] == {"token": PASSWORD, "ca.crt": "CA of tls-replicas"}
    assert secrets["mlflow-secrets"]["metrics-token"] == PASSWORD
    assert [name for name in secrets if "metrics-token" in secrets[name]] == ["mlflow-secrets"]
    [monitor] = engine.of("ServiceMonitor").values()
    assert PASSWORD not in json.dumps(monitor)
    [endpoint] = monitor["spec"]["endpoints"]
    secret = {"name": "mlflow-monitor"}
    assert endpoint == {
        "port": "main",
        "path": "/metrics",
        "authorization": {"type": "Bearer", "credentials": secret | {"key": "token"}},
        "scheme": "https",
        "tlsConfig": {"ca": {"secret": secret | {"key": "ca.crt"}}, "serverName": "mlflow-replica"},
    }


def test_tls_ends_at_nginx_and_its_key_is_a_secret(engine: Engine) -> None:
    host = {"ingress_host": "mlflow.example.com"}
    target, _ = deploy(tls="true", more=host)
    assert target.tracking_uri == "https://localhost:5000"
    assert target.ca_file
    assert target.cluster
    assert target.cluster.tracking_uri == "https://mlflow.mlflow-bench-k8s.svc:5000"
    secret = engine.of("Secret")["nginx-secrets"]
    # As the SDK writes a secret.
    content = secret["stringData"]["value"]
    assert content == {"tls-certificate": "served", "tls-key": KEY}
    pod = engine.pods()["nginx"]
    [container] = pod["containers"]
    assert "/run/secrets" in {mount["mountPath"] for mount in container["volumeMounts"]}
    assert KEY not in json.dumps(pod)
    assert "ready" in container["startupProbe"]["exec"]["command"]
    assert "8082" in container["startupProbe"]["exec"]["command"]
    [settings] = engine.of("ConfigMap")["nginx-settings"]["data"].values()
    assert "listen 8080 ssl" in settings
    [ingress] = engine.of("Ingress").values()
    protocol = "nginx.ingress.kubernetes.io/backend-protocol"
    assert ingress["metadata"]["annotations"][protocol] == "HTTPS"
    [made] = [args.inputs for args in engine.made if args.name == "tls"]
    assert "mlflow.mlflow-bench-k8s.svc" in made["hosts"]
    assert "mlflow.example.com" in made["hosts"]


def test_tls_inside_is_from_nginx_to_the_pods_and_from_these_to_the_database(
    engine: Engine,
) -> None:
    target, _ = deploy(tls="true", tls_inside="true", replicas="2")
    contents = {
        name.removesuffix("-secrets"): secret["stringData"]["value"]
        for name, secret in engine.of("Secret").items()
    }
    showing = {name for name, files in contents.items() if "tls-key" in files}
    assert showing == {"postgres", "mlflow", "nginx"}
    assert contents["nginx"]["replicas-ca.crt"] == "CA of tls-replicas"
    assert contents["schema-job"]["database-ca.crt"] == "CA of tls-database"
    pods = {name: pod["containers"][0] for name, pod in engine.pods().items()}
    assert pods["mlflow"]["livenessProbe"]["httpGet"]["scheme"] == "HTTPS"
    assert pods["nginx"]["livenessProbe"]["httpGet"].get("scheme") is None
    for name in ("mlflow", "schema-job"):
        assert "sslmode=verify-full" in " ".join(pods[name]["args"])
    [settings] = engine.of("ConfigMap")["nginx-settings"]["data"].values()
    assert "proxy_pass https://$tracking;" in settings
    assert KEY not in json.dumps(engine.pods())
    inside = target.backend_store.ca_file
    assert inside
    assert inside.endswith("/.state/tls/k8s.inside.pem")
    assert {one.kind for one in target.components if one.ca_file == inside} == {"mlflow"}


def test_an_ingress_leads_to_nginx_by_a_name_that_the_server_takes(engine: Engine) -> None:
    deploy()
    assert engine.of("Ingress") == {}
    deploy(
        more={
            "ingress_host": "mlflow.example.com",
            "ingress_tls_secret": "certificate",
            "ingress_class": "traefik",
        }
    )
    [ingress] = engine.of("Ingress").values()
    [rule] = ingress["spec"]["rules"]
    [path] = rule["http"]["paths"]
    assert rule["host"] == "mlflow.example.com"
    assert path["backend"]["service"] == {"name": "mlflow", "port": {"name": "main"}}
    assert ingress["spec"]["tls"] == [
        {"hosts": ["mlflow.example.com"], "secretName": "certificate"}
    ]
    assert ingress["spec"]["ingressClassName"] == "traefik"
    [container] = engine.pods()["mlflow"]["containers"]
    [allowed] = [word for word in container["args"] if word.startswith("--allowed-hosts=")]
    assert "mlflow.example.com" in allowed.partition("=")[2].split(",")


def test_clients_reach_nginx_and_only_nginx_the_replicas(engine: Engine) -> None:
    deploy()
    services = engine.of("Service")
    front, replicas = services["mlflow"]["spec"], services["mlflow-replicas"]["spec"]
    assert front["ports"] == [{"name": "main", "port": 5000, "targetPort": 8080}]
    nginx = {"mlflow-bench.stack": "k8s", "mlflow-bench.component": "nginx"}
    assert front["selector"] == nginx
    assert replicas["clusterIP"] == "None"
    assert replicas["selector"] == nginx | {"mlflow-bench.component": "mlflow"}
    policies = engine.of("NetworkPolicy")
    [rule] = policies["mlflow"]["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": nginx}}]
    assert "from" not in policies["nginx"]["spec"]["ingress"][0]
    [container] = engine.pods()["nginx"]["containers"]
    assert {"name": "TRACKING_SERVICE", "value": "mlflow-replicas:5000"} in container["env"]
    assert container["readinessProbe"]["httpGet"] == container["livenessProbe"]["httpGet"]
    assert container["readinessProbe"]["httpGet"]["port"] == 8081
    [settings] = engine.of("ConfigMap").values()
    assert settings["data"] == {"nginx.conf": configuration_by_name()}


def secrets_of(engine: Engine, component: str) -> str:
    """What a pod of a component says of its secrets."""
    digest: str = engine.of("Deployment")[component]["spec"]["template"]["metadata"]["annotations"][
        "mlflow-bench.secrets"
    ]
    return digest


def test_a_pod_is_started_anew_for_another_password_and_tells_nothing_of_it(
    engine: Engine,
) -> None:
    own = {"mlflow_image": "a/mlflow:1", "nginx_image": "a/nginx:1"}
    own["object_store_image"] = "a/minio:1"

    def digest(password: str, salt: str) -> str:
        engine.made.clear()
        engine.salt = salt
        url = f"postgresql://me:{password}@db.example.com/mlflow"
        deploy("work", None, **own, database=json.dumps({"url": url}))
        return secrets_of(engine, "mlflow")

    first = digest("guessable", "salt")
    assert digest("guessable", "salt") == first
    assert digest("another", "salt") != first
    # Who tries passwords against it has to have the salt, which is in the state, encrypted.
    assert digest("guessable", "other salt") != first
    [salt] = [args for args in engine.made if args.name == "secrets-salt"]
    assert salt.typ == "random:index/randomPassword:RandomPassword"


def test_the_administrator_s_password_reaches_the_schema_job_alone(engine: Engine) -> None:
    target, _ = deploy(auth="basic", workspaces="true", trace_retention="30d")
    assert target.username == "admin"
    assert target.workspaces
    told = {name for name, pod in engine.pods().items() if "ENABLE_WORKSPACES" in json.dumps(pod)}
    assert told >= {"mlflow", "trace-jobs"}
    assert "--workspaces" in json.dumps(engine.pods()["schema-job"])
    assert PASSWORD not in target.model_dump_json()
    # As the SDK writes a secret.
    secrets = {name: set(one["stringData"]["value"]) for name, one in engine.of("Secret").items()}
    assert {name for name in secrets if "admin-password" in secrets[name]} == {"schema-job-secrets"}
    assert {name for name in secrets if "server-key" in secrets[name]} == {"mlflow-secrets"}
    assert set(engine.of("ConfigMap")["mlflow-settings"]["data"]) == {"auth.ini"}
    assert PASSWORD not in json.dumps([engine.pods(), engine.of("ConfigMap")])


def test_the_secret_of_an_identity_provider_reaches_the_replicas_alone(engine: Engine) -> None:
    provider = {
        "issuer": "https://login.example.com",
        "client_id": "mlflow",
        "client_secret": "never-to-be-seen",
    }
    deploy(auth="oidc", oidc=json.dumps(provider))
    secrets = {name: set(one["stringData"]["value"]) for name, one in engine.of("Secret").items()}
    holders = {name for name in secrets if "oidc-client-secret" in secrets[name]}
    assert holders == {"mlflow-secrets"}
    assert set(engine.of("ConfigMap")["mlflow-settings"]["data"]) == {"auth.ini", "oidc.json"}
    assert "never-to-be-seen" not in json.dumps([engine.pods(), engine.of("ConfigMap")])


def test_all_pods_pull_their_images_with_the_secrets_that_are_named(engine: Engine) -> None:
    deploy()
    assert not any("imagePullSecrets" in pod for pod in engine.pods().values())
    for names in (["registry", "other"], "registry, other"):
        target, _ = deploy(more={"image_pull_secrets": names, "load_inside": True})
        references = [{"name": "registry"}, {"name": "other"}]
        assert set(engine.pods()) == {"postgres", "object-store", "schema-job", "mlflow", "nginx"}
        assert all(pod["imagePullSecrets"] == references for pod in engine.pods().values())
        assert (
            manifest(target, 1, with_access=False)["spec"]["template"]["spec"]["imagePullSecrets"]
            == references
        )


def test_the_pods_that_use_the_artifact_store_have_a_role(engine: Engine) -> None:
    deploy()
    assert engine.of("ServiceAccount") == {}
    assert not any("serviceAccountName" in pod for pod in engine.pods().values())
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/mlflow"}
    account = {"service_account": "tracking", "service_account_annotations": role}
    bucket = {"kind": "s3", "bucket": "mlflow-artifacts", "region": "eu-central-1"}
    deploy(more=account, artifacts=json.dumps(bucket))
    [made] = engine.of("ServiceAccount").values()
    assert made["metadata"]["name"] == "tracking"
    assert made["metadata"]["namespace"] == "mlflow-bench-k8s"
    assert made["metadata"]["annotations"] == role
    with_role = {
        name for name, pod in engine.pods().items() if pod.get("serviceAccountName") == "tracking"
    }
    assert with_role == {"mlflow", "schema-job"}
    # A cloud's webhook mounts a token of its own; that of the cluster's API is not for them.
    assert {pod["automountServiceAccountToken"] for pod in engine.pods().values()} == {False}
    [container] = engine.pods()["mlflow"]["containers"]
    assert "AWS_SHARED_CREDENTIALS_FILE" not in {variable["name"] for variable in container["env"]}


def test_annotations_without_an_account_are_refused() -> None:
    with pytest.raises(SpecError, match=r"service_account_annotations: is of no use"):
        deploy(more={"service_account_annotations": {"a": "b"}})


def test_servers_start_after_the_schema_job_and_roll_without_a_gap(engine: Engine) -> None:
    deploy(replicas="2")
    order = [args.typ.rpartition(":")[2] for args in engine.made]
    assert order.index("Job") < order.index("Deployment", order.index("StatefulSet"))
    made = [args.name for args in engine.made if args.typ == KIND_DEPLOYMENT]
    assert made == ["mlflow", "nginx"]
    spec = engine.of("Deployment")["mlflow"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    [container] = engine.pods()["mlflow"]["containers"]
    drain = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert engine.pods()["mlflow"]["terminationGracePeriodSeconds"] > drain > 0
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["exec"]["command"] == ["ready"]
    assert container["resources"]["requests"]["memory"] == "650Mi"
    assert "limits" not in container["resources"]


def test_what_may_not_run_while_the_schema_changes_has_its_revision(engine: Engine) -> None:
    deploy(replicas="2", trace_archival="30d")
    # Without users the schema of theirs is no matter.
    revision = contents.schema(None, users=False)
    annotated = {
        name: pod["metadata"].get("annotations", {}).get(ANNOTATION)
        for kind in ("Deployment", "StatefulSet", "Job")
        for name, inputs in engine.of(kind).items()
        if (pod := inputs["spec"]["template"])
    }
    assert {name for name, value in annotated.items() if value == revision} == {
        "mlflow",
        "trace-jobs",
        "schema-job",
    }
    assert {name for name, value in annotated.items() if value is None} == {
        "nginx",
        "object-store",
        "postgres",
    }


@pytest.mark.parametrize(
    ("before", "now", "replaces"),
    [
        ("one", "one", []),
        ("one", "", []),
        ("one", "two", ["revision"]),
        ("", "two", ["revision"]),
        ("one users", "one", []),
        ("one users", "two", ["revision"]),
        ("one users", "one others", ["revision"]),
        ("one", "one users", ["revision"]),
        ("once", "one", ["revision"]),
    ],
)
def test_another_revision_is_another_resource_and_an_unknown_one_is_that_of_before(
    before: str, now: str, replaces: list[str]
) -> None:
    made = RevisionProvider().create({"revision": before}).outs
    found = RevisionProvider().diff("schema", made or {}, {"revision": now})
    assert (found.changes, found.replaces) == (bool(replaces), replaces)
    assert found.delete_before_replace


def test_of_an_image_that_is_given_nobody_knows_the_schema(engine: Engine) -> None:
    deploy(mlflow_image="registry.example.com/mlflow:3.17.2")
    [revision] = [args.inputs for args in engine.made if args.name == "schema-revision"]
    assert revision["revision"] == ""


def test_a_lock_that_does_not_say_its_schema_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    release = next(one for one in releases.supported() if one != releases.pinned())
    spec = SimpleNamespace(mlflow_image=None, mlflow=release)
    assert on_kubernetes._check_schema(spec) is None  # type: ignore[arg-type]
    monkeypatch.setattr(contents, "_noted", lambda *_: "")
    line = on_kubernetes._check_schema(spec)  # type: ignore[arg-type]
    assert f"(scripts/lock --mlflow {release})" in (line or "")


def test_limits_are_those_of_the_stack_file(engine: Engine) -> None:
    deploy(mlflow_memory="1g", postgres_memory="3g", trace_jobs_memory="500m", trace_archival="30d")
    for name, size in (("mlflow", "1024Mi"), ("postgres", "3072Mi"), ("trace-jobs", "500Mi")):
        [container] = engine.pods()[name]["containers"]
        assert container["resources"]["limits"] == {"memory": size}
        assert container["resources"]["requests"]["memory"] == size


def test_the_docs_say_what_it_asks_of_the_nodes(engine: Engine) -> None:
    file = yaml.safe_load(Path("stacks/Pulumi.k8s.yaml").read_text())["config"]
    config = {key.removeprefix("mlflow-bench:"): value for key, value in file.items()}
    deploy(config.pop("kubernetes")["context"], **config)
    replicas = {
        name: deployment["spec"]["replicas"] for name, deployment in engine.of("Deployment").items()
    }
    asked = {
        name: (pod["containers"][0]["resources"]["requests"], replicas.get(name, 1))
        for name, pod in engine.pods().items()
    }
    mebibytes = {
        name: int(requests["memory"].removesuffix("Mi")) for name, (requests, _) in asked.items()
    }
    job = mebibytes.pop("schema-job")
    memory = sum(size * asked[name][1] for name, size in mebibytes.items())
    cores = sum(int(asked[name][0]["cpu"].removesuffix("m")) * asked[name][1] for name in mebibytes)
    docs = " ".join(Path("docs/stacks/k8s.md").read_text().split())
    assert f"asks the nodes for {memory / 1024:.1f} GiB and {cores / 1000} cores" in docs
    assert (
        f"PostgreSQL {mebibytes['postgres']} MiB, MinIO {mebibytes['object-store']}, each replica "
        f"{mebibytes['mlflow']}, each of two nginx {mebibytes['nginx']}"
    ) in docs
    assert f"for {job} MiB while the schema job runs" in docs


def test_only_the_servers_and_the_job_reach_the_stores(engine: Engine) -> None:
    deploy()
    policies = engine.of("NetworkPolicy")
    for store in ("postgres", "object-store"):
        [rule] = policies[store]["spec"]["ingress"]
        assert rule["from"] == [{"podSelector": {"matchLabels": {"mlflow-bench.client": "true"}}}]
    templates = {
        name: inputs["spec"]["template"]
        for kind in ("Deployment", "StatefulSet", "Job")
        for name, inputs in engine.of(kind).items()
    }
    clients = {
        name
        for name, template in templates.items()
        if "mlflow-bench.client" in template["metadata"]["labels"]
    }
    assert clients == {"mlflow", "schema-job"}


def test_another_cluster_runs_images_by_reference_only(engine: Engine) -> None:
    with pytest.raises(SpecError) as caught:
        deploy(context="work")
    assert str(caught.value).startswith("image_registry: is missing: ")
    assert "(or name images of your own: mlflow_image, nginx_image, postgres_image, " in str(
        caught.value
    )
    images = {
        f"{name}_image": f"registry.example.com/{name}:1"
        for name in ("mlflow", "nginx", "postgres", "object_store")
    }
    deploy("work", None, **images)
    used = {pod["containers"][0]["image"] for pod in engine.pods().values()}
    assert used == set(images.values())
    assert [args for args in engine.made if args.typ.startswith("docker:")] == []
    with pytest.raises(SpecError, match=r"^image_registry: is missing: .*: load_image\)$"):
        deploy("work", {"load_inside": True}, **images)
    target, _ = deploy("work", {"load_inside": True}, load_image="a/workload:1", **images)
    assert target.cluster
    assert target.cluster.load_image == "a/workload:1"


def test_a_database_of_ones_own_takes_the_place_of_the_stacks(engine: Engine) -> None:
    deploy(
        context="work",
        mlflow_image="a/mlflow:1",
        nginx_image="a/nginx:1",
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


MINIKUBE = """
contexts:
- name: mine
  context:
    cluster: mine
    user: mine
    extensions:
    - name: context_info
      extension: {provider: minikube.sigs.k8s.io, version: v1.37.0}
- name: work
  context: {cluster: mine, user: mine}
clusters: [{name: mine, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: mine}]
current-context: work
"""


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-two", ["kind", "load", "docker-image", "a/b:1", "--name", "two"]),
        ("k3d-two", ["k3d", "image", "import", "a/b:1", "--cluster", "two"]),
        ("mine", ["minikube", "image", "load", "a/b:1", "--profile", "mine"]),
        ("work", None),
        ("not-there", None),
    ],
)
def test_a_context_tells_how_images_get_into_its_cluster(
    context: str, command: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(MINIKUBE)
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    assert load_command(context, "a/b:1") == command


def test_images_are_tagged_by_digest_and_copied_by_the_clusters_tool(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("docker", "kind"):
        (tmp_path / tool).write_text(f'#!/bin/sh\necho {tool} "$@" >> {tmp_path}/said\n')
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    props: dict[str, Any] = {
        "context": "kind-two",
        "image": "mlflow-bench/mlflow:0a1b",
        "digest": "sha256:0123abc",
    }
    assert (Loader().create(props).outs or {})["name"] == "mlflow-bench/mlflow:0123abc"
    assert (tmp_path / "said").read_text().splitlines() == [
        "docker tag sha256:0123abc mlflow-bench/mlflow:0123abc",
        "kind load docker-image mlflow-bench/mlflow:0123abc --name two",
    ]
    (tmp_path / "kind").write_text("#!/bin/sh\necho no nodes found >&2\nexit 1\n")
    with pytest.raises(RuntimeError, match=r"^kind load .*: no nodes found$"):
        Loader().create(props)
    deploy(context="kind-two")
    assert engine.pods()["mlflow"]["containers"][0]["image"] == "loaded/mlflow:1"


def test_pods_pull_from_the_registry(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", lambda line, *_: warnings.append(line))

    def no_docker() -> None:
        raise SpecError("no Docker")

    monkeypatch.setattr(on_kubernetes, "connect", no_docker)
    (tmp_path / "setup.py").write_text("")
    registry = "registry.example.com/team"
    deploy(context="work", image_registry=registry, mlflow=str(tmp_path))
    images = {name: pod["containers"][0]["image"] for name, pod in engine.pods().items()}
    assert {name: image.rpartition(":")[0] for name, image in images.items()} == {
        "postgres": f"{registry}/postgres",
        "object-store": f"{registry}/minio",
        "schema-job": f"{registry}/mlflow",
        "mlflow": f"{registry}/mlflow",
        "nginx": f"{registry}/nginx",
    }
    assert not [made.name for made in engine.made if made.name.endswith(("-image", "-loaded"))]
    assert [line.partition(":")[0] for line in warnings] == ["image_registry"]
    # A cluster that takes images from here takes a person's own mlflow from here.
    deploy(image_registry=registry, mlflow=str(tmp_path))
    assert engine.pods()["mlflow"]["containers"][0]["image"] == "loaded/mlflow:1"
    assert engine.pods()["nginx"]["containers"][0]["image"].startswith(f"{registry}/nginx:")


def test_a_local_cluster_without_its_tool_is_told(engine: Engine) -> None:
    with pytest.raises(SpecError, match="install k3d, which copies them there, or push them"):
        deploy(context="k3d-two")


@pytest.mark.parametrize(
    ("docker", "kubernetes"),
    [
        (infra.docker.postgres.Postgres, infra.kubernetes.postgres.Postgres),
        (infra.docker.object_store.ObjectStore, infra.kubernetes.object_store.ObjectStore),
        (infra.docker.schema_job.SchemaJob, infra.kubernetes.schema_job.SchemaJob),
        (infra.docker.load_balancer.LoadBalancer, infra.kubernetes.load_balancer.LoadBalancer),
    ],
)
def test_components_of_one_name_have_the_same_outputs(docker: Any, kubernetes: Any) -> None:
    assert docker.__annotations__ == kubernetes.__annotations__


@pytest.mark.parametrize("s3_engine", ["minio", "seaweedfs"])
@pytest.mark.parametrize("more", [{}, {"storage_class": "fast", "namespace": "team"}])
def test_the_check_of_data_knows_every_claim(
    engine: Engine, s3_engine: str, more: dict[str, Any]
) -> None:
    deploy(more=more, s3_engine=s3_engine)
    provider = "urn::cluster"
    resources = [
        {"urn": f"urn::{a.name}", "type": a.typ, "inputs": a.inputs, "provider": f"{provider}::1"}
        for a in engine.made
    ]
    stores = data.stores_in(resources, Names("k8s"))
    assert {store.name for store in stores} == set(engine.of("PersistentVolumeClaim"))
    assert len(stores) == 2
    cluster = json.dumps({"context": "mlflow-bench-test"} | more)
    settings = CLUSTER | {"kubernetes": cluster, "s3_engine": s3_engine}
    values = {f"mlflow-bench:{key}": value for key, value in settings.items()}
    assert data.lost(stores, data.planned_places("k8s", load_spec(values, Path.cwd()))) == []


def test_another_claim_of_the_database_has_another_password(engine: Engine) -> None:
    # By which the job runs anew and the servers are replaced: their pods are marked by it.
    deploy()
    kept = {
        resource.name: resource.inputs.get("keepers")
        for resource in engine.made
        if resource.typ == "random:index/randomPassword:RandomPassword"
    }
    assert kept["postgres-password"] == {"claim": "uid of postgres-data"}
    for kind, name in (("Job", "schema-job"), ("Deployment", "mlflow")):
        template = engine.of(kind)[name]["spec"]["template"]
        assert "mlflow-bench.secrets" in template["metadata"]["annotations"]


def test_all_servers_and_jobs_encrypt_by_the_same_keys(engine: Engine) -> None:
    deploy(trace_retention="30d")
    for name in ("schema-job", "mlflow", "trace-jobs"):
        secret = engine.of("Secret")[f"{name}-secrets"]["stringData"]
        assert "4dabf18193072939515e22adb298388d" in secret  # Pulumi's mark of a secret
        files = secret["value"]
        assert files["webhook-key"] == "-_" * 21 + "-="
        assert files["gateway-passphrase"] == PASSWORD


def test_two_deployments_in_one_program_share_no_name(engine: Engine) -> None:
    """One is named as the Pulumi stack and has the names that states have; the other is not."""
    registered: list[str] = []

    def note(args: pulumi.ResourceTransformationArgs) -> None:
        registered.append(f"{args.type_}::{args.name}")

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[Any]:
        pulumi.runtime.register_stack_transformation(note)
        deployments = [
            on_kubernetes.Deployment(
                name, spec_of(port=port, more={"ingress_host": "mlflow.example.com"})
            )
            for name, port in (("k8s", "5055"), ("second", "5056"))
        ]
        return pulumi.Output.all(*(deployment.target for deployment in deployments))

    program()
    assert len(registered) == len(set(registered))
    own = [urn for urn in registered if "::second" not in urn]
    others = [urn for urn in registered if "::second" in urn]
    assert [urn.replace("::second-", "::") for urn in others[1:]] == own[1:]
    objects = [
        (args.typ, args.inputs["metadata"].get("namespace"), args.inputs["metadata"]["name"])
        for args in engine.made
        if "metadata" in args.inputs
    ]
    assert len(objects) == len(set(objects))


def test_one_pod_does_the_jobs_of_traces(engine: Engine) -> None:
    deploy(replicas="2", trace_archival="30d", trace_rollups="true")
    jobs = engine.of("Deployment")["trace-jobs"]["spec"]
    assert jobs["replicas"] == 1
    pod = jobs["template"]["spec"]
    [container] = pod["containers"]
    assert container["args"][0] == "trace-jobs"
    assert pod.get("restartPolicy") == "Always"
    assert container["readinessProbe"]["exec"]["command"] == ["test", "-e", READY_FILE]
    assert "ports" not in container
    [replicas] = engine.of("Deployment")["mlflow"]["spec"]["template"]["spec"]["containers"]
    for one in (container, replicas):
        assert str(ARCHIVAL_FILE.parent) in {mount["mountPath"] for mount in one["volumeMounts"]}


def test_without_keys_of_traces_there_is_no_such_pod(engine: Engine) -> None:
    deploy(replicas="2")
    assert "trace-jobs" not in engine.of("Deployment")
