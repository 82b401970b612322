"""The bundled `kubernetes` plugin, on the real engine and a real Kubernetes."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.offline.test_cluster import lifecycle
from scripts.offline.test_cluster.layout import CONTEXT
from tests.kubernetes_cluster import IMAGE, PAUSE, get
from tests.plugins.project import Project, eventually

pytestmark = [pytest.mark.plugins, pytest.mark.xdist_group("kubernetes")]

PRELUDE = f"""
from pulumi_kubernetes import Provider
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.apps.v1 import Deployment, StatefulSet
from pulumi_kubernetes.batch.v1 import Job
from pulumi_kubernetes.core.v1 import (
    ConfigMap, Namespace, PersistentVolumeClaim, Pod, Secret, Service)

provider = Provider("cluster", context={CONTEXT!r})
LABELS = {{"mlflow-bench.test": RUN}}

def opts(*after, **more):
    return pulumi.ResourceOptions(provider=provider, depends_on=list(after), **more)

namespace = Namespace("namespace", metadata={{"name": f"test-{{RUN}}", "labels": {{
    **LABELS, "pod-security.kubernetes.io/enforce": "restricted"}}}}, opts=opts())

def meta(name):
    return {{"name": name, "namespace": namespace.metadata.name, "labels": LABELS}}

def template(app, image={PAUSE!r}, restart="Always", pod={{}}, **container):
    return {{"metadata": {{"labels": {{"app": app}}}}, "spec": {{
        "security_context": {{"run_as_non_root": True, "run_as_user": 65535,
                              "seccomp_profile": {{"type": "RuntimeDefault"}}}},
        "automount_service_account_token": False,
        "termination_grace_period_seconds": 1,
        "restart_policy": restart,
        "containers": [{{"name": "main", "image": image, "image_pull_policy": "Never",
            "security_context": {{"allow_privilege_escalation": False,
                                  "capabilities": {{"drop": ["ALL"]}}}}, **container}}],
        **pod}}}}

def deployment(name, replicas=1, app=None, after=(), more={{}}, **container):
    app = app or name
    return Deployment(name, metadata=meta(name), spec={{"replicas": replicas,
        "selector": {{"match_labels": {{"app": app}}}},
        "template": template(app, **container)}}, opts=opts(*after, **more))
"""


@pytest.fixture
def kubernetes(project: Project, cluster: None, bundled_only: None) -> Iterator[Project]:
    """An empty project whose namespace is removed in the end."""
    project.env["KUBECONFIG"] = os.environ["KUBECONFIG"]
    yield project
    lifecycle.kubectl(
        *("delete", "namespace", f"test-{project.run}", "--ignore-not-found", "--wait=false")
    )


def source(text: str) -> str:
    return PRELUDE + text


def objects(project: Project, kind: str) -> list[Any]:
    return [
        one
        for one in get(kind, f"test-{project.run}")
        if one["metadata"].get("labels", {}).get("mlflow-bench.test") == project.run
    ]


def test_no_key_stays_behind(kubernetes: Project, tmp_path: Path) -> None:
    """The client of the cluster keeps a person's certificate and key in files while it runs."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    kubernetes.env = kubernetes.env | {"TMPDIR": str(temporary)}
    program = 'web = deployment("web", replicas=1, app="web")\n'
    assert kubernetes.preview(source(program)).ops["web"] == "create"
    # The plugin ends a moment after its engine.
    assert eventually(lambda: not list(temporary.glob("mlflow-bench-*")), 20)
    assert not [path for path in temporary.iterdir() if path.is_file()]


def test_the_life_of_a_deployment(kubernetes: Project) -> None:
    program = """
replicas = {replicas}
web = deployment("web", replicas=replicas, app={app!r})
Service("front", metadata=meta("web"), spec={{"selector": {{"app": {app!r}}},
    "ports": [{{"port": 80}}]}}, opts=opts(web))
"""
    first = kubernetes.preview(source(program.format(replicas=2, app="web")))
    assert first.ops["web"] == "create"
    assert get("namespaces", "default", "default")
    kubernetes.up()
    found = get("deployment", f"test-{kubernetes.run}", "web")
    assert found["status"]["availableReplicas"] == 2
    assert kubernetes.up().changed == {}

    # In place, and seen in the preview without being done.
    changed = kubernetes.preview(source(program.format(replicas=1, app="web")))
    assert changed.changed == {"web": "update"}
    assert changed.diffs["web"] == ["spec.replicas"]
    assert get("deployment", f"test-{kubernetes.run}", "web")["spec"]["replicas"] == 2
    kubernetes.up()
    assert get("deployment", f"test-{kubernetes.run}", "web")["spec"]["replicas"] == 1

    # What somebody else changed comes back.
    lifecycle.kubectl("scale", "deployment/web", "--replicas=0", "-n", f"test-{kubernetes.run}")
    kubernetes.refresh()
    assert kubernetes.up().changed == {"web": "update"}
    assert get("deployment", f"test-{kubernetes.run}", "web")["spec"]["replicas"] == 1

    # A selector cannot change.
    uid = found["metadata"]["uid"]
    replaced = kubernetes.up(source(program.format(replicas=1, app="other")))
    assert "replace" in replaced.changed["web"]
    assert get("deployment", f"test-{kubernetes.run}", "web")["metadata"]["uid"] != uid

    kubernetes.destroy()
    names = [one["metadata"]["name"] for one in get("namespaces", "default")]
    assert f"test-{kubernetes.run}" not in names


def test_secrets_stay_secret(kubernetes: Project) -> None:
    kubernetes.up(
        source(
            """
Secret("plain", metadata=meta("plain"), string_data={"key": "in-the-clear-12345"}, opts=opts())
Secret("encoded", metadata=meta("encoded"), data={"key": "aW4tdGhlLWNsZWFyLTEyMzQ1"}, opts=opts())
ConfigMap("settings", metadata=meta("settings"),
    data={"open": "anyone", "closed": pulumi.Output.secret("behind-a-door-1")}, opts=opts())
"""
        )
    )
    assert "in-the-clear" not in kubernetes.raw_state
    assert "aW4tdGhlLWNsZWFy" not in kubernetes.raw_state
    assert "behind-a-door" not in kubernetes.raw_state
    assert "anyone" in kubernetes.raw_state
    live = get("secret", f"test-{kubernetes.run}", "plain")["data"]["key"]
    assert base64.b64decode(live) == b"in-the-clear-12345"
    assert kubernetes.up().changed == {}
    kubernetes.refresh()
    assert "in-the-clear" not in kubernetes.raw_state
    assert kubernetes.up().changed == {}


def test_a_job_a_set_and_a_claim(kubernetes: Project) -> None:
    kubernetes.up(
        source(
            f"""
claim = PersistentVolumeClaim("data", metadata=meta("data"), spec={{
    "access_modes": ["ReadWriteOnce"], "resources": {{"requests": {{"storage": "1024Ki"}}}}}},
    opts=opts())
volumes = {{"volumes": [{{"name": "data", "persistent_volume_claim": {{"claim_name": "data"}}}}]}}
members = StatefulSet("set", metadata=meta("set"), spec={{
    "service_name": "set", "selector": {{"match_labels": {{"app": "set"}}}},
    "template": template("set", pod=volumes,
        volume_mounts=[{{"name": "data", "mount_path": "/data"}}])}}, opts=opts(claim))
Job("job", metadata=meta("job"), spec={{"template": template("job", image={IMAGE!r},
    restart="Never", command=["sleep", "1"])}}, opts=opts(members))
"""
        )
    )
    namespace = f"test-{kubernetes.run}"
    assert get("statefulset", namespace, "set")["status"]["readyReplicas"] == 1
    assert get("pvc", namespace, "data")["status"]["phase"] == "Bound"
    assert get("job", namespace, "job")["status"]["succeeded"] == 1
    kubernetes.refresh()
    assert kubernetes.up().changed == {}  # also the quantity, which is 1Mi by now


FAILING = f"""
def soon(**times):
    return {{"custom_timeouts": pulumi.CustomTimeouts(**times)}}

deployment("image", image="mlflow-bench/not-there:1")
deployment("level", security_context={{}})
deployment("place", resources={{"requests": {{"cpu": "1000"}}}}, more=soon(create="8s"))
deployment("probe", image={IMAGE!r}, command=["sleep", "60"], more=soon(create="8s"),
    readiness_probe={{"exec": {{"command": ["sh", "-c", "echo no database; exit 1"]}},
                     "period_seconds": 1}})
Job("job", metadata=meta("job"), spec={{"backoff_limit": 0, "template": template("job",
    image={IMAGE!r}, restart="Never",
    command=["sh", "-c", "echo database is newer >&2; exit 3"])}}, opts=opts())
Service("service", metadata=meta("service"), spec={{"selector": {{"app": "nobody"}},
    "ports": [{{"port": 80}}]}}, opts=opts(**soon(create="8s")))
ConfigMap("schema", metadata={{**meta("schema"), "name": "Not A Name"}}, opts=opts())
CustomResource("kind", api_version="example.com/v1", kind="Nothing", metadata=meta("kind"),
    opts=opts())
"""

REASONS = {
    "image": ["0 of 1 replicas", "ErrImageNeverPull", "not-there"],
    "level": ["violates PodSecurity", "restricted"],
    "place": ["0 of 1 replicas", "not scheduled", "Insufficient cpu"],
    "probe": ["not ready", "no database"],
    "job": ["the job failed", "ended with 3", "database is newer"],
    "service": ["no ready pod behind it"],
    "schema": ["Kubernetes refused", "Not A Name"],
    "kind": ["does not serve example.com/v1 Nothing"],
}


def test_what_does_not_come_up_says_why_and_is_taken_back(kubernetes: Project) -> None:
    failed = kubernetes.up(source(FAILING), ok=False, keep_going=True)
    for name, words in REASONS.items():
        assert [word for word in words if word not in failed.said[name]] == []
        assert name not in kubernetes.resources()
    assert "error inside the bundled" not in failed.text
    for kind in ("deployments", "jobs", "services", "configmaps"):
        left = [one["metadata"] for one in objects(kubernetes, kind)]
        assert [one["name"] for one in left if "deletionTimestamp" not in one] == []


def test_an_object_of_somebody_else_is_left_alone(kubernetes: Project) -> None:
    kubernetes.up(source(""))
    namespace = f"test-{kubernetes.run}"
    lifecycle.kubectl("create", "configmap", "theirs", "--from-literal=a=b", "-n", namespace)
    failed = kubernetes.up(
        source('ConfigMap("mine", metadata=meta("theirs"), data={"a": "c"}, opts=opts())'),
        ok=False,
    )
    assert f"ConfigMap {namespace}/theirs exists already" in failed.text
    assert get("configmap", namespace, "theirs")["data"] == {"a": "b"}


def test_a_name_that_is_not_given_is_chosen(kubernetes: Project) -> None:
    program = (
        'ConfigMap("made", metadata={{"namespace": namespace.metadata.name, "labels": LABELS}},'
        ' data={{"a": "{}"}}, opts=opts())'
    )
    kubernetes.up(source(program.format("b")))
    [first] = objects(kubernetes, "configmaps")
    assert first["metadata"]["name"].startswith("made-")
    # Its data cannot change (as with the official plugin): a new one, then the old one goes.
    kubernetes.up(source(program.format("c")))
    [second] = objects(kubernetes, "configmaps")
    assert second["metadata"]["name"] != first["metadata"]["name"]


def test_without_a_cluster_there_is_one_clear_line(kubernetes: Project, tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "gone", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "gone", "user": {"token": "x"}}],
        "contexts": [{"name": "gone", "context": {"cluster": "gone", "user": "gone"}}],
    }
    program = """
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core.v1 import ConfigMap
there = Provider("there", context={context!r}, kubeconfig={config!r})
ConfigMap("one", metadata={{"name": "one"}}, opts=pulumi.ResourceOptions(provider=there))
"""
    text = json.dumps(config)
    gone = kubernetes.preview(program.format(context="gone", config=text), ok=False)
    lines = [line for line in gone.text.splitlines() if "does not answer" in line]
    assert len(lines) == 1
    assert "context gone at https://127.0.0.1:1" in lines[0]
    assert "Connection refused" in lines[0]
    unknown = kubernetes.preview(program.format(context="other", config=text), ok=False)
    assert "kubeconfig has no context 'other', there is: gone" in unknown.text
