"""The test cluster for tests: started when it is first asked for, ended if they started it."""

import fcntl
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from infra.labels import LABEL_COMPONENT
from scripts.commands.setup import plugins
from scripts.offline.test_cluster import images, lifecycle
from scripts.offline.test_cluster.layout import HOME, KUBECONFIG, kubeconfig_path
from scripts.shared.project import CACHE

IMAGE = "debian:trixie-slim"
PAUSE = "mlflow-bench/pause:1"
STARTED = HOME / "started-by-tests"
"""There while a cluster runs that no person started."""

ANOTHER: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "another",
    "clusters": [{"name": "another", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "another", "user": {"token": "a-token-of-another-cluster"}}],
    "contexts": [{"name": "another", "context": {"cluster": "another", "user": "another"}}],
}
"""Kubeconfig of another cluster of the person's, and the one that they are on."""


@contextmanager
def running() -> Iterator[None]:
    """Have the cluster run; the last process of the tests that uses it ends it."""
    plugins.build_kubernetes()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "test-cluster.users").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        if not lifecycle.status()[0] and "ready after" in lifecycle.up():
            STARTED.touch()
        former = os.environ.get("KUBECONFIG")
        os.environ["KUBECONFIG"] = kubeconfig_path(former or "")
        images.load(IMAGE, IMAGE)
        try:
            yield
        finally:
            if former is None:
                del os.environ["KUBECONFIG"]
            else:
                os.environ["KUBECONFIG"] = former
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if STARTED.exists():
                STARTED.unlink()
                lifecycle.down()


@contextmanager
def reaching(port: int, address: str) -> Iterator[None]:
    """Lead a port of the node's own loopback to `address`, a host and a port that it can reach."""
    host = address.partition(":")[0]
    target = ("-j", "DNAT", "--to-destination", address)
    rules = (
        ("OUTPUT", "-d", "127.0.0.1", "-p", "tcp", "--dport", str(port), *target),
        ("POSTROUTING", "-d", host, "-j", "MASQUERADE"),
    )
    node = ("nsenter", f"--net=/proc/{_node_process()}/ns/net")
    # Else what comes from loopback may not leave it.
    local = "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet"
    subprocess.run([*node, "sh", "-c", local], check=True)
    for rule in rules:
        subprocess.run([*node, "iptables", "-t", "nat", "-A", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            subprocess.run([*node, "iptables", "-t", "nat", "-D", *rule], check=True)


def _node_process() -> int:
    """Return a process of the host that is in the node's network."""
    [supervisor] = (
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [])[1:4] == lifecycle.SUPERVISOR
    )
    return supervisor


Moment = tuple[str, str]
"""What became of a pod: its component, and `comes`, `is ready`, `succeeds`, `fails` or `goes`."""


@contextmanager
def pods_watched(namespace: str) -> Iterator[Callable[[], list[Moment]]]:
    """See the pods of a namespace, in the order of the cluster's own events.

    Yields what returns them so far; those that are there already come first.
    """
    command = ("get", "pods", "-n", namespace, "--watch", "--output-watch-events", "-o", "json")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "events")
        with file.open("wb") as events:
            watching = subprocess.Popen(lifecycle.kubectl_command(*command), stdout=events)
        try:
            deadline = time.monotonic() + 60
            while not file.stat().st_size:
                assert time.monotonic() < deadline, "no event in a minute"
                time.sleep(0.1)
            yield lambda: _moments(file.read_text())
        finally:
            watching.terminate()
            watching.wait()


def without_ends(moments: list[Moment], of_jobs: str) -> list[Moment]:
    """Return when pods come and go, and of a job's when they come and how they end."""
    kept = {True: ("comes", "succeeds", "fails"), False: ("comes", "goes")}
    return [(of, what) for of, what in moments if what in kept[of == of_jobs]]


def _moments(text: str) -> list[Moment]:
    found: dict[tuple[str, str, str], None] = {}
    decoder = json.JSONDecoder()
    while text := text.strip():
        try:
            event, end = decoder.raw_decode(text)
        except ValueError:  # the last one is not whole yet
            break
        text = text[end:]
        pod = event["object"]
        labels, phase = pod["metadata"]["labels"], pod["status"].get("phase")
        component = labels.get(LABEL_COMPONENT) or labels.get("app") or labels.get("job-name")
        conditions = pod["status"].get("conditions", ())
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
        ends = {"Succeeded": "succeeds", "Failed": "fails"}
        said = {
            "comes": True,
            "is ready": ready,
            ends.get(phase, ""): phase in ends,
            "goes": event["type"] == "DELETED",
        }
        for what, so in said.items():
            if so:
                found[pod["metadata"]["name"], component, what] = None
    return [(component, what) for _, component, what in found]


def get(kind: str, namespace: str, name: str = "") -> Any:
    """An object of the cluster, or with no name the list of all of a kind."""
    assert KUBECONFIG.exists()
    words = [kind, name] if name else [kind]
    found = yaml.safe_load(lifecycle.kubectl("get", *words, "-n", namespace, "-o", "yaml"))
    return found if name else found["items"]
