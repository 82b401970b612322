"""A stack on a real Kubernetes: replicas, probes, restarts, rolling updates, and its end."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import docker
import mlflow
import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from infra.kubernetes import forward
from infra.kubernetes.forward_process import Plan
from infra.kubernetes.mlflow import DRAIN_SECONDS
from infra.outputs import Target
from infra.specification.cluster import TEST_CONTEXT
from scripts.offline.test_cluster import images, lifecycle
from scripts.offline.test_cluster.layout import KUBECONFIG
from tests.e2e import garbage
from tests.e2e.artifacts import Bucket
from tests.e2e.database import ask
from tests.e2e.lifecycle import unchanged
from tests.e2e.stack import (
    ROOT,
    Stack,
    end,
    eventually,
    interrupt,
    new_stack,
    refusals,
    search,
    train,
)
from tests.kubernetes_cluster import ANOTHER, get
from tests.ports import free_port
from tests.watched import Watched
from workloads.observation import balancer
from workloads.observation.pod_usage import PodUsage
from workloads.target import server_processes
from workloads.verdict.judge import judge
from workloads.verdict.result import DurabilityVerdict, Result

pytestmark = pytest.mark.e2e

NAMESPACE = "e2e-k8s"
SETTINGS = {
    "platform": "kubernetes",
    "artifacts": "s3",
    "kubernetes": {
        "context": TEST_CONTEXT,
        "namespace": NAMESPACE,
        "ingress_host": "mlflow.example.com",
        "ingress_tls_secret": "certificate",
        "image_pull_secrets": ["registry"],
        "service_account": "tracking",
        "service_account_annotations": {"example.com/role": "mlflow"},
        "load_inside": True,
        "monitoring": {"namespace": "monitoring", "labels": {"release": "prometheus"}},
    },
}

# What this project uses of the kind, by its API reference; the operator brings the whole.
SERVICE_MONITOR: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "names": {"kind": "ServiceMonitor", "plural": "servicemonitors"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "required": ["spec"],
                        "properties": {
                            "spec": {
                                "type": "object",
                                "required": ["endpoints", "selector"],
                                "properties": {
                                    "selector": {
                                        "type": "object",
                                        "properties": {
                                            "matchLabels": {
                                                "type": "object",
                                                "additionalProperties": {"type": "string"},
                                            }
                                        },
                                    },
                                    "endpoints": {
                                        "type": "array",
                                        "items": {
                                            "type": "object",
                                            "properties": {
                                                "port": {"type": "string"},
                                                "path": {"type": "string"},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> Iterator[Stack]:
    stack = new_stack("e2e-k8s", tmp_path_factory.mktemp("k8s"))
    stack.configure(**SETTINGS)
    definition = json.dumps(SERVICE_MONITOR)
    another = tmp_path_factory.mktemp("kube") / "config"
    another.write_text(yaml.safe_dump(ANOTHER))
    patched = pytest.MonkeyPatch()
    patched.setenv("KUBECONFIG", os.pathsep.join([str(another), os.environ["KUBECONFIG"]]))
    try:
        said = stack.run("preview", ok=False)
        assert "kubernetes.monitoring: the cluster of 'mlflow-bench-test' has no" in said
        lifecycle.kubectl("apply", "-f", "-", stdin=definition)
        lifecycle.kubectl("wait", "--for=condition=Established", "crd", "--all")
        stack.up()
        yield stack
    finally:
        stack.run("cancel", "--yes")
        stack.destroy()
        lifecycle.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=definition)
        assert not forward.is_alive(stack.name)
        assert NAMESPACE not in [one["metadata"]["name"] for one in get("namespaces", "default")]
        patched.undo()


@pytest.fixture(scope="module")
def outputs(stack: Stack) -> dict[str, Any]:
    return stack.outputs()


def pods(component: str = "mlflow") -> list[Any]:
    """The pods of a component that are not on their way out."""
    return [
        pod
        for pod in get("pods", NAMESPACE)
        if pod["metadata"]["labels"].get("mlflow-bench.component") == component
        and "deletionTimestamp" not in pod["metadata"]
    ]


def names(component: str = "mlflow") -> set[str]:
    return {pod["metadata"]["name"] for pod in pods(component)}


class Load:
    """People who log a metric point after the other: half of them with a new connection for each,
    half on one that they keep, as MLflow's client does."""

    def __init__(self, uri: str) -> None:
        self._client = mlflow.MlflowClient(uri)
        self._uri = uri
        experiment = self._client.create_experiment(f"load {time.time_ns()}")
        self._runs = [self._client.create_run(experiment).info.run_id for _ in range(6)]
        self.acknowledged: dict[str, set[int]] = {run: set() for run in self._runs}
        self.failed: list[str] = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._log, args=(run, number % 2 == 0))
            for number, run in enumerate(self._runs)
        ]

    @contextmanager
    def going(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def lost(self) -> list[int]:
        """The steps that were acknowledged and are not there."""
        return [
            step
            for run, steps in self.acknowledged.items()
            for step in steps
            - {point.step for point in self._client.get_metric_history(run, "points")}
        ]

    def _log(self, run: str, keeps: bool) -> None:
        step = 0
        session = requests.Session()
        while not self._over.wait(0.05):
            step += 1
            point = {"run_id": run, "key": "points", "value": 1.0, "timestamp": 1, "step": step}
            try:
                answer = session.post(
                    f"{self._uri}/api/2.0/mlflow/runs/log-metric",
                    json=point,
                    timeout=60,
                    headers={} if keeps else {"Connection": "close"},
                )
            except requests.RequestException as error:
                self.failed.append(f"step {step}: {error}")
                continue
            if answer.status_code == 200:
                self.acknowledged[run].add(step)
            else:
                self.failed.append(f"step {step}: {answer.status_code} {answer.text[:200]}")


def test_a_person_trains_and_loads_the_model(outputs: dict[str, Any]) -> None:
    assert outputs["target"]["platform"] == "kubernetes"
    train(outputs["tracking_uri"])


def sql(outputs: dict[str, Any], statement: str) -> list[Any]:
    """The first column of what the stack's database answers."""
    return [row[0] for row in ask(outputs, statement)]


def test_checks_reach_both_stores(outputs: dict[str, Any]) -> None:
    [experiments] = sql(outputs, "SELECT count(*) FROM experiments")
    assert experiments >= 1
    assert Bucket(outputs).objects("") != []


def test_checks_reach_each_pod(outputs: dict[str, Any]) -> None:
    audit = {one["name"]: one["audit"] for one in outputs["target"]["components"]}
    assert set(audit) == {"postgres", "object-store", "mlflow-1", "nginx-1", "nginx-2"}
    paths = {"mlflow-1": "health", "nginx-1": "nginx-status", "nginx-2": "nginx-status"}
    for name, path in paths.items():
        assert requests.get(f"http://{audit[name]}/{path}", timeout=10).status_code == 200


def test_prometheus_finds_each_replica_and_its_figures(outputs: dict[str, Any]) -> None:
    monitor = get("servicemonitor", NAMESPACE, "mlflow")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    [endpoint] = monitor["spec"]["endpoints"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    [service] = [
        one for one in get("services", NAMESPACE) if wanted <= one["metadata"]["labels"].items()
    ]
    assert service["metadata"]["name"] == "mlflow-replicas"
    [port] = service["spec"]["ports"]
    assert (port["name"], port["targetPort"]) == (endpoint["port"], 5000)

    client = mlflow.MlflowClient(outputs["tracking_uri"])
    run = client.create_run(client.create_experiment(f"figures {time.time_ns()}")).info.run_id
    address = {one["name"]: one["audit"] for one in outputs["target"]["components"]}["mlflow-1"]

    def figures() -> dict[tuple[str, str], float]:
        # By an address that the server does not know as its own, as Prometheus does.
        answer = requests.get(f"http://{address}{endpoint['path']}", timeout=10)
        assert answer.status_code == 200
        families = text_string_to_metric_families(answer.text)
        samples = [one for family in families for one in family.samples]
        return {(one.name, one.labels.get("route", "")): one.value for one in samples}

    log = "mlflow_http_requests_total", "/api/2.0/mlflow/runs/log-metric"
    before = figures().get(log, 0)
    for step in range(7):
        client.log_metric(run, "loss", 1.0, step=step)
    # A request is counted when its answer has been sent, and the kubelet asks now and then.
    idle = "mlflow_http_requests_in_flight", ""
    eventually(lambda: figures().get(log, 0) >= before + 7 and figures()[idle] == 0)
    after = figures()
    assert after[log] == before + 7
    assert after["mlflow_http_request_duration_seconds_count", log[1]] == after[log]
    # One replica's, so not for those who ask the load balancer.
    assert requests.get(f"{outputs['tracking_uri']}/metrics", timeout=10).status_code == 404


def test_a_run_sees_what_the_pods_do(outputs: dict[str, Any]) -> None:
    target = Target.model_validate(outputs["target"])
    begin = time.time()
    for _ in range(5):
        assert search(target.tracking_uri).status_code == 200
    figures = PodUsage(target)
    names = {one.name for one in target.components}
    # A kubelet looks at a new container some seconds later.
    eventually(lambda: set(figures.look()) == names)
    seen = figures.look()
    assert 200 < seen["mlflow-1"]["memory"] >> 20 < 1000
    assert seen["mlflow-1"]["cpu_s"] > 1
    assert abs(time.time() - seen["mlflow-1"]["at"]) < 60
    [containers] = (server_processes.processes(target) or {}).values()
    assert len(containers) == 1
    [stage] = balancer.replicas(target, [("all", begin, time.time() + 1)])
    assert stage["replicas"]["mlflow-1"]["requests"] >= 5


def left_of_loads() -> list[str]:
    """What a load from inside the cluster has made and not removed."""
    return [
        f"{one['kind']}/{one['metadata']['name']}"
        for one in get("jobs,pods,configmaps", NAMESPACE)
        if one["metadata"].get("labels", {}).get("mlflow-bench.component") == "load"
    ]


def test_a_load_from_inside_is_judged_as_any(stack: Stack, tmp_path: Path) -> None:
    results = tmp_path / "inside"
    done = stack.workload(results, "--scenario=metrics", "--users=4", "--duration=6")
    result = Result.model_validate_json((results / "result.json").read_text())
    assert done.returncode == result.verdict.judgement.exit_status
    assert "load of 4 users" in done.stdout
    assert result.durability.verdict is DurabilityVerdict.PASS, result.durability.findings[:3]
    assert result.durability.sources == ["mlflow-1", "postgres", "s3"]
    assert result.plan.tracking_uri == f"http://mlflow.{NAMESPACE}.svc:5000"
    said = result.plan.environment["load"]
    assert said == "from inside the cluster: one pod, on node node"
    assert said in (results / "report.html").read_text()
    # What is watched from outside is put to the pod's time.
    [stage] = result.stages
    assert stage.calls.errors == 0
    assert stage.observed
    assert stage.observed.machine.generator_cpu > 0
    assert stage.observed.database
    assert stage.observed.replicas["mlflow-1"].requests > 0
    assert not any("server processes" in said for said in result.not_done)  # they were seen
    assert judge(results)[0].model_dump_json() == result.model_dump_json()
    assert left_of_loads() == []


def test_a_load_from_inside_ends_early_and_is_on_its_page(stack: Stack, tmp_path: Path) -> None:
    """Two users do not make a hundred thousand calls a second."""
    results = tmp_path / "early"
    port = free_port()
    ended = threading.Event()
    seen: dict[str, Any] = {}

    def watch() -> None:
        while not ended.wait(0.5):
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/now", timeout=5) as answer:
                state = json.loads(answer.read())
                seen.update(state if state.get("operations") and state["points"] else {})

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        options = ("--users=2", "--duration=120", "--fail-fast", "--objective=min_rate=100000")
        done = stack.workload(results, "--scenario=metrics", f"--web={port}", *options)
    finally:
        ended.set()
        watching.join()
    result = Result.model_validate_json((results / "result.json").read_text())
    assert done.returncode == 1
    assert result.verdict.reasons[0].startswith("Ended early by --fail-fast, ")
    assert result.load_s < 60
    assert any(row[0] == "POST runs/log-batch" for row in seen["operations"])
    assert left_of_loads() == []


def ctrl_c(process: "subprocess.Popen[str]") -> None:
    assert left_of_loads() != []
    interrupt(process, signal.SIGINT)


def kill_its_pod(_: "subprocess.Popen[str]") -> None:
    which = ("pod", "--selector=mlflow-bench.component=load", "-n", NAMESPACE)
    lifecycle.kubectl("delete", *which, "--force", "--grace-period=0", timeout=30)


@pytest.mark.parametrize(
    ("phase", "cut", "status", "said"),
    [
        ("warm-up", ctrl_c, 130, "interrupted"),
        ("starting", kill_its_pod, 2, "the load's pod: it was removed while it loaded"),
    ],
)
def test_a_load_from_inside_that_is_cut_off_leaves_nothing(
    stack: Stack, tmp_path: Path, phase: str, cut: Any, status: int, said: str
) -> None:
    command = [sys.executable, "-m", "workloads", "run", "--stack", stack.name]
    command += ["--scenario=metrics", "--users=2", "--duration=60", f"--results={tmp_path / 'run'}"]
    with (
        stack.in_project(),
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=stack.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        assert process.stdout
        for line in process.stdout:
            if line.startswith(phase):
                break
        cut(process)
        last = process.communicate(timeout=180)[0].splitlines()[-1]
    assert (process.returncode, last) == (status, f"python -m workloads: {said}")
    assert left_of_loads() == []
    assert not (tmp_path / "run").exists()


def test_the_api_server_takes_every_manifest_and_every_pod_is_restricted(stack: Stack) -> None:
    level = get("namespace", "default", NAMESPACE)["metadata"]["labels"]
    assert level["pod-security.kubernetes.io/enforce"] == "restricted"
    kinds = "deployments,statefulsets,services,networkpolicies,poddisruptionbudgets,pvc,secrets"
    kinds += ",ingresses,configmaps,servicemonitors,serviceaccounts"
    found = get(kinds, NAMESPACE)
    assert {one["kind"] for one in found} == {
        "ConfigMap",
        "Deployment",
        "Ingress",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "PodDisruptionBudget",
        "Secret",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
        "StatefulSet",
    }
    for one in found:
        for key in ("uid", "resourceVersion", "creationTimestamp"):
            one["metadata"].pop(key)
        one.pop("status", None)
    text = yaml.safe_dump_all(found)
    said = lifecycle.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text, timeout=60)
    assert len(said.splitlines()) == len(found)
    # What the level forbids, this namespace refuses.
    with pytest.raises(Exception, match="violates PodSecurity"):
        lifecycle.kubectl(
            *("run", "loose", "--image=mlflow-bench/pause:1", "-n", NAMESPACE), timeout=30
        )
    for pod in get("pods", NAMESPACE):
        [container] = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert pod["spec"]["securityContext"]["runAsUser"] >= 10001
        assert {"name": "registry"} in pod["spec"]["imagePullSecrets"]
        assert all("projected" not in volume for volume in pod["spec"]["volumes"])


def test_the_pods_that_use_the_store_run_as_the_stacks_account(stack: Stack) -> None:
    account = get("serviceaccount", NAMESPACE, "tracking")
    assert account["metadata"]["annotations"]["example.com/role"] == "mlflow"
    assert {
        (pod["metadata"]["labels"]["mlflow-bench.component"], pod["spec"]["serviceAccountName"])
        for pod in get("pods", NAMESPACE)
    } == {
        ("mlflow", "tracking"),
        ("schema-job", "tracking"),
        ("nginx", "default"),
        ("object-store", "default"),
        ("postgres", "default"),
    }


def test_no_secret_shows(stack: Stack, outputs: dict[str, Any]) -> None:
    secrets = {"password": outputs["audit_secrets"]["database_password"]}
    for file in os.environ["KUBECONFIG"].split(os.pathsep):
        known = yaml.safe_load(Path(file).read_text()) if Path(file).exists() else {}
        for user in known.get("users", []):
            secrets |= {f"{key} of {file}": value for key, value in user["user"].items()}
    assert any(ANOTHER["users"][0]["user"]["token"] == secret for secret in secrets.values())
    places = {
        "state": "".join(path.read_text() for path in stack.folder.rglob("*.json*")),
        "pods": json.dumps(get("pods", NAMESPACE)),
        "plan": forward.plan_file(stack.name).read_text(),
    }
    for pod in get("pods", NAMESPACE):
        name = pod["metadata"]["name"]
        places[f"log of {name}"] = lifecycle.kubectl("logs", name, "-n", NAMESPACE)
    assert [
        f"{name} in {place}"
        for place, text in places.items()
        for name, secret in secrets.items()
        if isinstance(secret, str) and secret in text
    ] == []


def test_probes_mean_what_they_say(outputs: dict[str, Any]) -> None:
    [pod] = pods()
    [container] = pod["spec"]["containers"]
    # Ready is what touches the stores; alive is what does not.
    assert container["readinessProbe"]["exec"]["command"] == ["ready"]
    assert container["startupProbe"]["exec"]["command"] == ["ready"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    lifecycle.kubectl("scale", "statefulset/postgres", "--replicas=0", "-n", NAMESPACE)
    try:

        def unready() -> bool:
            [now] = pods()
            return not now["status"]["containerStatuses"][0]["ready"]

        eventually(unready)
        # nginx stays, and says that no replica does.
        eventually(lambda: search(outputs["tracking_uri"]).status_code == 502)
        [now] = pods()
        assert now["status"]["containerStatuses"][0]["restartCount"] == 0
    finally:
        lifecycle.kubectl("scale", "statefulset/postgres", "--replicas=1", "-n", NAMESPACE)
    eventually(lambda: pods()[0]["status"]["containerStatuses"][0]["ready"])


def test_nothing_differs_from_what_was_deployed(stack: Stack) -> None:
    for command in (["preview"], ["refresh", "--yes", "--skip-preview"], ["preview"]):
        unchanged(stack, *command)


def test_what_was_deleted_is_removed_for_good(stack: Stack) -> None:
    garbage.collected(stack)  # of other tests
    garbage.leaves_nothing(stack)
    assert "gc" not in [one["metadata"]["name"] for one in get("job", NAMESPACE)]


def test_a_killed_port_forward_comes_back_with_up(stack: Stack, outputs: dict[str, Any]) -> None:
    plan = json.loads(forward.plan_file(stack.name).read_text())
    subprocess.run(["kill", "-9", str(plan["pid"])], check=True)
    eventually(lambda: not forward.is_alive(stack.name))
    stack.up()
    assert forward.is_alive(stack.name)
    assert stack.outputs()["target"] == outputs["target"]
    assert search(outputs["tracking_uri"]).status_code == 200


@contextmanager
def tokens() -> Iterator[Callable[[str], str]]:
    """Makes a token of the API for each name; one ends when the Secret of that name goes."""
    account = ("serviceaccount", "forward", "-n", NAMESPACE)
    binding = ("rolebinding", "forward", "-n", NAMESPACE)
    lifecycle.kubectl("create", *account)
    who = f"--serviceaccount={NAMESPACE}:forward"
    lifecycle.kubectl("create", *binding, "--clusterrole=cluster-admin", who)

    def make(name: str) -> str:
        lifecycle.kubectl("create", "secret", "generic", name, "-n", NAMESPACE)
        bound = ("--bound-object-kind=Secret", f"--bound-object-name={name}")
        return lifecycle.kubectl("create", "token", "forward", *bound, "-n", NAMESPACE).strip()

    try:
        yield make
    finally:
        lifecycle.kubectl("delete", *account)
        lifecycle.kubectl("delete", *binding)


def test_a_port_forward_outlives_its_token(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, token = tmp_path / "kubeconfig", tmp_path / "token"
    content = yaml.safe_load(KUBECONFIG.read_text())
    [context] = content["contexts"]
    context["context"]["user"] = "by-token"
    content["users"] = [{"name": "by-token", "user": {"tokenFile": str(token)}}]
    file.write_text(yaml.safe_dump(content))
    ports = [forward.forwarded_port("main", "mlflow", 8080)]
    plan = Plan(context=TEST_CONTEXT, namespace=NAMESPACE, ports=ports)

    def served(port: int) -> bool:
        headers = {"Host": "localhost", "Connection": "close"}
        url = f"http://127.0.0.1:{port}/health"
        return requests.get(url, headers=headers, timeout=30).status_code == 200

    with tokens() as make:
        token.write_text(make("first"))
        monkeypatch.setenv("KUBECONFIG", str(file))
        try:
            port = forward.start("e2e-by-token", plan)["main"]
            assert served(port)
            token.write_text(make("second"))
            lifecycle.kubectl("delete", "secret", "first", "-n", NAMESPACE)
            time.sleep(11)  # So long the API server may remember a token.
            assert served(port)
        finally:
            forward.stop("e2e-by-token")
            forward.plan_file("e2e-by-token").with_suffix(".log").unlink()
        lifecycle.kubectl("delete", "secret", "second", "-n", NAMESPACE)


OTHER_DATABASE = """
export PGHOST=/run/postgresql PGUSER=postgres
createdb --owner=mlflow other
echo 'host other mlflow all scram-sha-256' >> "$(psql -Atc 'show hba_file')"
psql -Atc 'select pg_reload_conf()'
"""


def test_stores_that_only_the_cluster_reaches_are_used(
    stack: Stack, outputs: dict[str, Any], docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    postgres = ("exec", "statefulset/postgres", "-n", NAMESPACE, "--", "bash", "-euc")
    lifecycle.kubectl(*postgres, OTHER_DATABASE)
    keys = outputs["audit_secrets"]["s3_credentials"].splitlines()
    [access, secret] = [line.split("=", 1)[1] for line in keys if "=" in line]
    endpoint = f"http://object-store.{NAMESPACE}.svc:9000"
    artifacts = {"kind": "s3", "bucket": "mlflow", "prefix": "other", "endpoint": endpoint}

    def configure(password: str) -> None:
        other.configure(
            platform="kubernetes",
            artifacts=artifacts | {"access_key": access},
            database={"ssl_mode": "disable"},
            kubernetes={"context": TEST_CONTEXT, "namespace": own},
        )
        other.set_secret("artifacts.secret_key", secret)
        url = f"postgresql://mlflow:{password}@postgres.{NAMESPACE}.svc/other"
        other.set_secret("database.url", url)

    other = new_stack("e2e-k8s-other", tmp_path)
    own = f"{NAMESPACE}-other"
    # A person has made it, to have secrets there before the first pod.
    lifecycle.kubectl("create", "namespace", own)
    lifecycle.kubectl("label", "namespace", own, f"mlflow-bench.stack={other.name}")
    lifecycle.kubectl("create", "secret", "generic", "registry", "-n", own)
    try:
        configure("wrong")
        said = other.up(ok=False)
        for key in ("artifacts", "database"):
            assert len([one for one in said.splitlines() if f" {key}: " in one]) >= 1, said
        assert "asks again from inside the cluster" in said
        # One line that says all, of the pod's own.
        assert "schema-job: failed: the database at postgres." in said
        assert "password authentication failed" in said, said
        configure(outputs["audit_secrets"]["database_password"])
        other.up()
        assert search(other.outputs()["tracking_uri"]).status_code == 200
        results = tmp_path / "run"
        other.workload(results, "--scenario=metrics", "--users=2", "--duration=3")
        result = Result.model_validate_json((results / "result.json").read_text())
        assert result.durability.verdict is DurabilityVerdict.PASS, result.durability.findings[:3]
        assert result.durability.sources == ["mlflow-1"]
        not_read = " ".join(result.not_done)
        assert "the external database was not read itself: " in not_read
        assert "the external artifact store was not read itself: " in not_read
        assert get("secret", own, "registry")
    finally:
        end(other, docker_client)
    assert own not in [one["metadata"]["name"] for one in get("namespaces", "default")]


def test_a_failed_schema_job_runs_again_until_it_succeeds(
    stack: Stack, outputs: dict[str, Any]
) -> None:
    [head] = sql(outputs, "SELECT version_num FROM alembic_version")
    sql(outputs, "UPDATE alembic_version SET version_num = 'abcdefabcdef'")
    lifecycle.kubectl("delete", "job/schema-job", "-n", NAMESPACE)
    stack.run("refresh", "--yes", "--skip-preview")
    jobs = []
    for _ in range(2):
        said = stack.up(ok=False)
        assert "the database is newer than this image" in said, said
        jobs.append(get("job", NAMESPACE, "schema-job")["metadata"]["uid"])
    assert len(set(jobs)) == 2
    assert sql(outputs, "SELECT version_num FROM alembic_version") == ["abcdefabcdef"]
    assert search(outputs["tracking_uri"]).status_code == 200, "the replicas of before serve on"
    sql(outputs, f"UPDATE alembic_version SET version_num = '{head}'")
    stack.up()
    job = get("job", NAMESPACE, "schema-job")
    assert job["status"]["succeeded"] == 1
    assert "unchanged" in stack.run("preview", "--expect-no-changes")
    stack.up()
    assert get("job", NAMESPACE, "schema-job")["metadata"]["uid"] == job["metadata"]["uid"]


@pytest.mark.parametrize(
    ("change", "key", "what"),
    [
        (
            {"kubernetes": {"context": TEST_CONTEXT, "namespace": f"{NAMESPACE}-moved"}},
            "kubernetes.namespace",
            f"{NAMESPACE} -> {NAMESPACE}-moved",
        ),
        (
            {"kubernetes": {**SETTINGS["kubernetes"], "storage_class": "other"}},  # type: ignore[dict-item]
            "kubernetes.storage_class",
            "the cluster's default -> other",
        ),
        ({"s3_engine": "seaweedfs"}, "s3_engine", "minio -> seaweedfs"),
        ({"platform": "docker"}, "platform", "kubernetes -> docker"),
    ],
)
def test_a_change_that_would_remove_data_is_refused(
    stack: Stack, outputs: dict[str, Any], change: dict[str, Any], key: str, what: str
) -> None:
    def claims() -> dict[str, str]:
        return {one["metadata"]["name"]: one["spec"]["volumeName"] for one in get("pvc", NAMESPACE)}

    before = claims()
    assert set(before) == {"postgres-data", "object-store-data"}
    changed: dict[str, Any] = SETTINGS | change
    if key == "platform":
        del changed["kubernetes"]
    stack.configure(**changed)
    try:
        for command in (["preview"], ["up", "--yes", "--skip-preview"]):
            [line] = refusals(stack.run(*command, ok=False), key)
            assert line.startswith(f"{key}: {what}: would remove claim ")
            assert f"claim object-store-data in namespace {NAMESPACE} with the artifacts" in line
    finally:
        stack.configure(**SETTINGS)
    assert claims() == before
    assert stack.outputs() == outputs


@pytest.fixture(scope="module")
def other_image(outputs: dict[str, Any], docker_client: docker.DockerClient) -> Iterator[str]:
    """Another image of the same mlflow, on the cluster's node."""
    name = "mlflow-bench/e2e-other:1"
    digests = {one["kind"]: one["image"] for one in outputs["target"]["components"]}
    source = f"FROM {digests['mlflow']}\nLABEL mlflow-bench.test=other\n"
    docker_client.images.build(fileobj=io.BytesIO(source.encode()), tag=name, rm=True)
    images.load(name, name)
    yield name
    docker_client.images.remove(name)
    command = [*images.CTR, "images", "rm", f"docker.io/{name}"]
    subprocess.run(command, check=True, capture_output=True)


def test_a_rolling_update_to_another_image_fails_no_request(
    stack: Stack, outputs: dict[str, Any], other_image: str
) -> None:
    before = names()
    load = Load(outputs["tracking_uri"])
    with load.going():
        stack.configure(**SETTINGS, mlflow_image=other_image)
        stack.up()
        time.sleep(12)  # The former pod is gone only now.
    assert names().isdisjoint(before)
    [pod] = pods()
    assert pod["spec"]["containers"][0]["image"] == other_image
    assert load.failed == []
    assert load.lost() == []
    assert sum(map(len, load.acknowledged.values())) > 50


def test_up_and_down_and_a_killed_pod_lose_nothing(
    stack: Stack, outputs: dict[str, Any], other_image: str
) -> None:
    def of_stores() -> list[str]:
        return [pod["metadata"]["uid"] for name in ("postgres", "nginx") for pod in pods(name)]

    stores = of_stores()
    load = Load(outputs["tracking_uri"])
    with load.going():
        stack.configure(**SETTINGS, mlflow_image=other_image, replicas=3)
        stack.up()
        assert len(names()) == 3
        assert load.failed == []
        # Until the cluster's DNS has its answer again, nginx knows of the former pod only: to kill
        # that one fails all.
        time.sleep(DRAIN_SECONDS)
        victim = sorted(names())[0]
        lifecycle.kubectl(
            *("delete", f"pod/{victim}", "--force", "--grace-period=0", "-n", NAMESPACE),
            timeout=60,
        )
        eventually(
            lambda: (
                len(names()) == 3
                and all(pod["status"]["containerStatuses"][0]["ready"] for pod in pods())
            )
        )
        assert victim not in names()
        killed = len(load.failed)
        stack.configure(**SETTINGS, mlflow_image=other_image)
        stack.up()
        eventually(lambda: len(names()) == 1)
        time.sleep(12)
    # What the killed pod worked on has failed, and nothing else.
    assert killed <= 6, load.failed[:9]
    assert len(load.failed) == killed, load.failed[killed:][:9]
    assert load.lost() == []
    assert sum(map(len, load.acknowledged.values())) > 50
    # Neither the database nor the load balancer was started anew for that.
    assert of_stores() == stores


def test_an_autoscaler_takes_the_replicas_over(stack: Stack, other_image: str) -> None:
    cluster: Any = {**SETTINGS["kubernetes"], "autoscale": True}  # type: ignore[dict-item]
    changed = SETTINGS | {"kubernetes": cluster}
    stack.configure(**changed, mlflow_image=other_image, replicas=2)
    # This cluster has no metrics server; the fewest replicas are kept to all the same.
    assert "has no metrics.k8s.io" in stack.up()
    scaler = get("horizontalpodautoscaler", NAMESPACE, "mlflow")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 3)
    eventually(lambda: len(names()) == 2)
    # Another `up` leaves its choice alone.
    lifecycle.kubectl("scale", "deployment/mlflow", "--replicas=3", "-n", NAMESPACE)
    stack.up()
    assert len(names()) == 3
    # Without it the number is the stack file's again, whoever chose the last one.
    stack.configure(**SETTINGS, mlflow_image=other_image)
    stack.up()
    eventually(lambda: len(names()) == 1)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"context": "not-there"}, "kubernetes.context: 'not-there':"),
        (
            {"context": TEST_CONTEXT, "namespace": "kube-system"},
            "kubernetes.namespace: 'kube-system': exists already in mlflow-bench-test and is not "
            "of this project",
        ),
    ],
)
def test_a_wrong_cluster_is_one_line(
    stack: Stack, tmp_path: Path, change: dict[str, str], line: str
) -> None:
    stack.configure(**(SETTINGS | {"kubernetes": change}))
    try:
        said = stack.run("preview", ok=False)
    finally:
        stack.configure(**SETTINGS)
    # As progress, and among the diagnostics.
    assert {one.partition("kubernetes.")[2] for one in said.splitlines() if line in one}
    assert len({one.partition("kubernetes.")[2] for one in said.splitlines() if line in one}) == 1


def test_a_backup_under_load_is_restored_into_another_stack(
    stack: Stack, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    archive = tmp_path / "backup.tar"
    subject = stack.subject()
    watched = Watched(tmp_path / "before", subject.tracking_uri)
    later = Watched(tmp_path / "later", subject.tracking_uri)
    with watched.calls() as session:
        watched.log_run(session)
    with Load(subject.tracking_uri).going():
        taken = stack.script("backup", archive)
    with later.calls() as session:
        later.log_run(session)
    assert taken.returncode == 0, taken.stderr

    fresh = new_stack("e2e-k8s-restored", tmp_path)
    settings: dict[str, Any] = SETTINGS["kubernetes"] | {"namespace": f"{NAMESPACE}-restored"}  # type: ignore[operator]
    fresh.configure(**SETTINGS | {"kubernetes": settings})
    try:
        fresh.up()
        restored = fresh.script("restore", archive)
        assert restored.returncode == 0, restored.stderr
        elsewhere = fresh.subject()
        found = watched.judged(elsewhere)
        assert found.verdict is DurabilityVerdict.PASS, found.findings[:3]
        assert found.sources == ["mlflow-1", "postgres", "s3"]
        # The control: what came after it is missed, as soon as it is asked for.
        assert later.judged(elsewhere).verdict is DurabilityVerdict.FAIL
        again = fresh.script("restore", archive)
        assert (again.returncode, len(again.stderr.splitlines())) == (2, 1)
        assert "is not empty" in again.stderr
    finally:
        end(fresh, docker_client)


def test_claims_that_are_given_up_are_made_anew(stack: Stack) -> None:
    [former] = {one["spec"]["storageClassName"] for one in get("pvc", NAMESPACE)}
    other = get("storageclass", "default", former)
    other["metadata"] = {"name": "other"}
    lifecycle.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(other))
    cluster: Any = {**SETTINGS["kubernetes"], "storage_class": "other"}  # type: ignore[dict-item]
    settings = SETTINGS | {"kubernetes": cluster}
    try:
        stack.configure(**settings, discard_data="database,artifacts")
        said = stack.up()
        assert (
            "warning: discard_data: claim postgres-data in namespace e2e-k8s, with the da" in said
        )
        assert {one["spec"]["storageClassName"] for one in get("pvc", NAMESPACE)} == {"other"}
        found = search(stack.outputs()["tracking_uri"]).json()["experiments"]
        assert [one["name"] for one in found] == ["Default"]
        [line] = refusals(stack.run("preview", ok=False), "discard_data")
        assert line.endswith("removes nothing of it; pulumi config rm discard_data")
        stack.configure(**settings)
        stack.run("preview", "--expect-no-changes")
    finally:
        lifecycle.kubectl("delete", "storageclass", "other")
