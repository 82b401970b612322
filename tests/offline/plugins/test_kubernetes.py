"""The official `kubernetes` plugin as it was set up, on the real engine and a real Kubernetes."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.commands.setup import plugins as setup
from scripts.offline import kubernetes_plugin
from scripts.offline.test_cluster import lifecycle
from scripts.offline.test_cluster.layout import CONTEXT, KUBECONFIG
from scripts.shared import go
from scripts.shared.project import ROOT, pin
from tests.kubernetes_cluster import ANOTHER, IMAGE, PAUSE, get, pods_watched, without_ends
from tests.offline.plugins.project import Project

pytestmark = [pytest.mark.plugins, pytest.mark.xdist_group("kubernetes")]

PRELUDE = f"""
from pulumi_kubernetes import Provider
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace, Secret, Service

provider = Provider("cluster", context={CONTEXT!r}, kubeconfig="")

def opts(*after, **more):
    return pulumi.ResourceOptions(provider=provider, depends_on=list(after), **more)

namespace = Namespace("namespace", metadata={{"name": f"test-{{RUN}}"}}, opts=opts())

def meta(name):
    return {{"name": name, "namespace": namespace.metadata.name}}

def deployment(name, replicas=1, app=None, image={PAUSE!r}, annotations=None, after=(), **more):
    labels = {{"app": app or name}}
    container = {{"name": "main", "image": image, "image_pull_policy": "Never"}}
    pod = {{"termination_grace_period_seconds": 1, "containers": [container]}}
    return Deployment(name, metadata=meta(name), spec={{"replicas": replicas,
        "selector": {{"match_labels": labels}},
        "template": {{"metadata": {{"labels": labels, "annotations": annotations}},
        "spec": pod}}}}, opts=opts(*after, **more))
"""


@pytest.fixture
def kubernetes(project: Project, cluster: None) -> Iterator[Project]:
    """An empty project whose namespace is removed in the end."""
    project.env["KUBECONFIG"] = os.environ["KUBECONFIG"]
    yield project
    lifecycle.kubectl(
        *("delete", "namespace", f"test-{project.run}", "--ignore-not-found", "--wait=false")
    )


def source(text: str) -> str:
    return PRELUDE + text


def test_the_life_of_a_deployment(kubernetes: Project) -> None:
    program = """
web = deployment("web", replicas={replicas}, app={app!r})
Service("front", metadata=meta("web"), spec={{"selector": {{"app": {app!r}}},
    "ports": [{{"port": 80}}]}}, opts=opts(web))
"""
    first = kubernetes.preview(source(program.format(replicas=2, app="web")))
    assert first.ops["web"] == "create"
    kubernetes.up()
    found = get("deployment", f"test-{kubernetes.run}", "web")
    assert found["status"]["availableReplicas"] == 2
    assert kubernetes.up().changed == {}

    # In place, and seen in the preview without being done.
    changed = kubernetes.preview(source(program.format(replicas=1, app="web")))
    assert changed.changed == {"web": "update"}
    assert get("deployment", f"test-{kubernetes.run}", "web")["spec"]["replicas"] == 2
    kubernetes.up()
    assert get("deployment", f"test-{kubernetes.run}", "web")["spec"]["replicas"] == 1

    # What somebody else changed comes back.
    lifecycle.kubectl("scale", "deployment/web", "--replicas=0", "-n", f"test-{kubernetes.run}")
    kubernetes.refresh()
    assert kubernetes.up().changed == {"web": "update"}
    assert get("deployment", f"test-{kubernetes.run}", "web")["spec"]["replicas"] == 1

    # A selector cannot change.
    replaced = kubernetes.up(source(program.format(replicas=1, app="other")))
    assert "replace" in replaced.changed["web"]
    uid = get("deployment", f"test-{kubernetes.run}", "web")["metadata"]["uid"]
    assert uid != found["metadata"]["uid"]

    kubernetes.destroy()
    names = [one["metadata"]["name"] for one in get("namespaces", "default")]
    assert f"test-{kubernetes.run}" not in names


SCHEMA = """
from pulumi_kubernetes.batch.v1 import Job
from infra.kubernetes.schema_revision import SchemaRevision

schema = SchemaRevision("schema", {revision!r}, pulumi.ResourceOptions())
now = {{"schema": schema.revision}}
container = {{"name": "main", "image": {image!r}, "image_pull_policy": "Never",
    "command": ["sh", "-c", {command!r}]}}
job = Job("job", metadata={{**meta("job"),
        "annotations": {{"pulumi.com/replaceUnready": "true"}}}},
    spec={{"backoff_limit": 0, "template": {{"metadata": {{"annotations": now}},
        "spec": {{"restart_policy": "Never", "containers": [container]}}}}}},
    opts=opts(delete_before_replace=True))
deployment("web", replicas={replicas}, annotations=now, after=[job],
    delete_before_replace=True)
"""


def test_a_workload_is_gone_while_the_schema_that_it_has_in_its_pods_becomes_another(
    kubernetes: Project,
) -> None:
    def program(revision: str, command: str = "sleep 1", replicas: int = 1) -> str:
        return source(
            SCHEMA.format(revision=revision, command=command, replicas=replicas, image=IMAGE)
        )

    def uid() -> str:
        return str(get("deployment", namespace, "web")["metadata"]["uid"])

    namespace = f"test-{kubernetes.run}"
    kubernetes.env["PYTHONPATH"] = str(ROOT)
    kubernetes.up(program("one"))
    first = uid()
    # An unknown revision is that of before; another job is nothing to the workload.
    assert kubernetes.up(program("")).changed == {}
    changed = kubernetes.up(program("", "sleep 0.5", replicas=2)).changed
    assert changed.keys() == {"job", "web"}
    assert uid() == first

    with pods_watched(namespace) as told:
        assert "replace" in kubernetes.preview(program("two", "exit 1")).changed["web"]
        assert uid() == first
        kubernetes.up(program("two", "exit 1"), ok=False)
        assert get("deployment", namespace) == []
        # The way back, and forth.
        kubernetes.up(program("one"))
        assert kubernetes.up().changed == {}
        kubernetes.up(program("two"))
        moments = told()
    assert uid() != first
    # Both of before go, then the jobs run, and what comes then comes after the one that succeeded.
    told_of = without_ends(moments, of_jobs="job")
    begin = [("web", "comes"), ("web", "comes"), ("job", "comes"), ("job", "succeeds")]
    assert sorted(told_of[:4]) == sorted(begin)
    assert told_of[4:] == [
        *[("web", "goes")] * 2,
        ("job", "comes"),
        ("job", "fails"),
        ("job", "comes"),
        ("job", "succeeds"),
        ("web", "comes"),
        ("web", "goes"),
        ("job", "comes"),
        ("job", "succeeds"),
        ("web", "comes"),
    ]


def test_secrets_stay_secret(kubernetes: Project) -> None:
    kubernetes.up(
        source(
            """
Secret("plain", metadata=meta("plain"), string_data={"key": "in-the-clear-12345"}, opts=opts())
ConfigMap("settings", metadata=meta("settings"),
    data={"open": "anyone", "closed": pulumi.Output.secret("behind-a-door-1")}, opts=opts())
"""
        )
    )
    live = get("secret", f"test-{kubernetes.run}", "plain")["data"]["key"]
    assert base64.b64decode(live) == b"in-the-clear-12345"
    for _ in range(2):
        assert "in-the-clear" not in kubernetes.raw_state
        assert live not in kubernetes.raw_state
        assert "behind-a-door" not in kubernetes.raw_state
        assert "anyone" in kubernetes.raw_state
        assert kubernetes.up().changed == {}
        kubernetes.refresh()


def test_what_does_not_come_up_says_why(kubernetes: Project) -> None:
    soon = 'custom_timeouts=pulumi.CustomTimeouts(create="5s")'
    failed = kubernetes.up(
        source(f'deployment("web", image="mlflow-bench/not-there:1", {soon})'), ok=False
    )
    assert "ErrImageNeverPull" in failed.text
    assert "not-there" in failed.text


def credentials() -> dict[str, str]:
    """What the test cluster's kubeconfig lets people in by."""
    [user] = yaml.safe_load(KUBECONFIG.read_text())["users"]
    found: dict[str, str] = user["user"]
    return found


def test_a_kubeconfig_of_several_files_and_contexts(kubernetes: Project, tmp_path: Path) -> None:
    """The context is found, whatever lies where; of none of them is anything in the state."""
    known = yaml.safe_load(KUBECONFIG.read_text())
    cluster = {**known, "users": [], "contexts": []}
    [context] = known["contexts"]
    # The person's own comes first, with another current context; the cluster lies in two files.
    parts = [ANOTHER, cluster, {**known, "clusters": []}]
    files = [tmp_path / f"kubeconfig-{number}" for number in range(len(parts))]
    for file, part in zip(files, parts, strict=True):
        file.write_text(yaml.safe_dump(part))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    listed = os.pathsep.join([*map(str, files), str(tmp_path / "not-there")])
    kubernetes.env = kubernetes.env | {"KUBECONFIG": listed, "TMPDIR": str(temporary)}

    program = source('ConfigMap("one", metadata=meta("one"), data={"a": "b"}, opts=opts())')
    assert kubernetes.preview(program).ops["one"] == "create"
    kubernetes.up()
    assert get("configmap", f"test-{kubernetes.run}", "one")["data"] == {"a": "b"}
    state = kubernetes.raw_state
    assert "a-token-of-another-cluster" not in state
    assert [name for name, value in credentials().items() if value in state] == []
    assert kubernetes.resources()["cluster"]["inputs"].keys() <= {
        "__internal",
        "context",
        "kubeconfig",
        "version",
    }
    # Nor do they stay in files.
    left = "".join(path.read_text() for path in temporary.rglob("*") if path.is_file())
    assert "a-token-of-another-cluster" not in left
    assert [name for name, value in credentials().items() if value in left] == []

    # New credentials are no change, and the next command takes them: also one without a program.
    files[0].write_text(yaml.safe_dump(ANOTHER).replace("a-token", "a-new-token"))
    [user] = known["users"]
    command = tmp_path / "credentials.sh"
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {
            "clientCertificateData": _pem(user["user"]["client-certificate-data"]),
            "clientKeyData": _pem(user["user"]["client-key-data"]),
        },
    }
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    command.chmod(0o755)
    plugin: dict[str, Any] = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(command),
        "interactiveMode": "Never",
    }
    asked = {**known, "clusters": [], "users": [{"name": user["name"], "user": {"exec": plugin}}]}
    files[2].write_text(yaml.safe_dump(asked))
    assert kubernetes.preview().changed == {}
    kubernetes.refresh()
    assert kubernetes.up().changed == {}
    assert context["name"] == CONTEXT
    kubernetes.destroy()
    names = [one["metadata"]["name"] for one in get("namespaces", "default")]
    assert f"test-{kubernetes.run}" not in names


def _pem(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


@pytest.mark.thorough
def test_its_first_use_builds_it_and_says_so(kubernetes: Project, tmp_path: Path) -> None:
    """Anew, but for the packages, which Go keeps."""
    if setup.is_official(Path(kubernetes.env["PULUMI_HOME"], "plugins", _folder())):
        pytest.skip("a release of the plugin is installed: nothing is built")
    assert kubernetes_plugin.program().exists()
    asked = [str(go.find()[0]), "env", "GOCACHE"]
    cache = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    empty = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "GOCACHE": cache}
    kubernetes.env |= empty | {"GOFLAGS": "-mod=nonsense"}
    failed = kubernetes.preview(source(""), ok=False)
    assert "compiling kubernetes failed with status" in failed.text
    assert "-mod=nonsense" in failed.text
    del kubernetes.env["GOFLAGS"]
    built = kubernetes.preview()
    assert "from its Go module, some minutes, once" in built.text
    assert built.ops["namespace"] == "create"
    assert len(list((tmp_path / "cache").rglob(kubernetes_plugin.PROGRAM))) == 1
    assert "building" not in kubernetes.preview().text


def _folder() -> str:
    return f"resource-kubernetes-v{pin('pulumi-kubernetes')}"
