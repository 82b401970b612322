"""The test cluster for tests: started when it is first asked for, ended if they started it."""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import yaml

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


def get(kind: str, namespace: str, name: str = "") -> Any:
    """An object of the cluster, or with no name the list of all of a kind."""
    assert KUBECONFIG.exists()
    words = [kind, name] if name else [kind]
    found = yaml.safe_load(lifecycle.kubectl("get", *words, "-n", namespace, "-o", "yaml"))
    return found if name else found["items"]
