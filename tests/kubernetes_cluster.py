"""The test cluster for tests: started when it is first asked for, ended if they started it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


def get(kind: str, namespace: str, name: str = "") -> Any:
    """An object of the cluster, or with no name the list of all of a kind."""
    assert KUBECONFIG.exists()
    words = [kind, name] if name else [kind]
    found = yaml.safe_load(lifecycle.kubectl("get", *words, "-n", namespace, "-o", "yaml"))
    return found if name else found["items"]
