"""Starting and ending the test cluster, whatever is left of an earlier one."""

import contextlib
import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import psutil

from scripts.offline.test_cluster import build, certificates, configuration, images, supervisor
from scripts.offline.test_cluster.layout import (
    CERTIFICATES,
    CGROUP,
    CGROUP_ROOT,
    COMPONENTS,
    CONTAINERD,
    CONTEXT,
    HOME,
    HOST,
    HOST_INTERFACE,
    KUBECONFIG,
    LINK,
    LOCK,
    LOGS,
    NODE_INTERFACE,
    PROVISIONER,
    STATE,
    VOLUMES,
)
from scripts.prepare import machine, ui
from scripts.prepare.pins import ROOT

PART = build.PART
NEEDED = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
}
"""Programs of the machine's own that the node runs on, and their Debian packages."""

START_S = 120.0
END_S = 30.0
LOOK_S = 0.2

SUPERVISOR = ["-m", supervisor.__name__, str(HOME)]
"""Arguments of Python that the cluster's first process is known by."""

STORAGE_CLASS = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": "local",
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": PROVISIONER,
    "volumeBindingMode": "WaitForFirstConsumer",
}


def up() -> str:
    """Start the cluster unless it runs and answers; return a line that says which."""
    _check_machine()
    told = build.ensure()
    with _alone():
        if _supervisor() and not _problem():
            return f"{told}; runs already: context {CONTEXT} in {KUBECONFIG}"
        _end()
        began = time.monotonic()
        try:
            _start()
            # Again and again: containerd is started twice where an earlier life left containers.
            _wait(lambda: not _failure(lambda: images.load_pause(build.folder() / "pause")))
            images.prune()
            _wait(lambda: not _problem())
        except BaseException:
            _end(keep_logs=True)
            raise
        took = ui.elapsed(time.monotonic() - began)
    return f"{told}; ready after {took}: context {CONTEXT} in {KUBECONFIG}"


def down() -> str:
    """End the cluster and all that is in it, but for its images."""
    with _alone():
        there = _supervisor() is not None or STATE.exists()
        _end()
    return "ended; nothing of it is left but its images" if there else "there was none"


def status() -> tuple[bool, str]:
    """Tell whether the cluster answers, and what runs."""
    if _supervisor() is None:
        return False, "does not run; start it with scripts/offline/cluster up"
    known = json.loads(COMPONENTS.read_text()) if COMPONENTS.exists() else {}
    parts = [
        name
        + ("" if one["running"] else " (down)")
        + (f" (started {one['starts']} times)" if one["starts"] > 1 else "")
        for name, one in known.items()
    ]
    problem = _problem()
    return not problem, f"{problem or 'ready'}: {', '.join(parts)}"


def kubectl(*arguments: str, stdin: str | None = None, timeout: float = 20.0) -> str:
    """Return what kubectl prints about this cluster; raise `SetupError` when it fails."""
    own = [str(build.folder() / "kubectl"), f"--kubeconfig={KUBECONFIG}", f"--context={CONTEXT}"]
    try:
        done = subprocess.run(
            [*own, *arguments], input=stdin, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise ui.SetupError(f"kubectl {arguments[0]} did not end in {timeout:.0f} s") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it printed nothing"]
        raise ui.SetupError(f"kubectl {arguments[0]}: {lines[-1]}")
    return done.stdout


def _check_machine() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ui.SetupError(
            "the test cluster needs root on Linux; elsewhere use kind, minikube or k3d, and name "
            "its context in the stack"
        )
    missing = sorted({package for name, package in NEEDED.items() if not shutil.which(name)})
    if missing:
        raise ui.SetupError(f"missing: apt-get install {' '.join(missing)}")
    routes = json.loads(machine.output(["ip", "-j", "route"]) or "[]")
    for route in routes:
        if route["dst"] == "default" or route.get("dev") == HOST_INTERFACE:
            continue
        if ip_network(route["dst"]).overlaps(LINK):
            raise ui.SetupError(
                f"this machine has a route to {route['dst']} by {route.get('dev')}, which overlaps "
                f"the test cluster's {LINK}"
            )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep two commands on the one cluster of this person from meeting."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            ui.say(PART, "waiting for another command on the test cluster to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start() -> None:
    for folder in (CONTAINERD, STATE, LOGS, VOLUMES):
        folder.mkdir(parents=True, exist_ok=True)
    HOME.chmod(0o700)
    programs = build.folder()
    certificates.write(CERTIFICATES)
    configuration.write(programs)
    apart = ["unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child"]
    # Its own /proc, and a network of its own in /sys.
    apart += ["--mount-proc", "--"]
    with configuration.log("supervisor").open("wb") as log:
        parent = subprocess.Popen(
            [*apart, sys.executable, *SUPERVISOR, programs],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            start_new_session=True,
        )
    first = _wait_for_first(parent)
    parent.returncode = 0  # It outlives this command, and nobody here waits for it.
    _host("ip", "link", "add", HOST_INTERFACE, "type", "veth", "peer", "name", NODE_INTERFACE)
    _host("ip", "address", "add", f"{HOST}/{LINK.prefixlen}", "dev", HOST_INTERFACE)
    _host("ip", "link", "set", HOST_INTERFACE, "up")
    _host("ip", "link", "set", NODE_INTERFACE, "netns", str(first))


def _wait_for_first(parent: "subprocess.Popen[bytes]") -> int:
    end = time.monotonic() + END_S
    while time.monotonic() < end and parent.poll() is None:
        if first := _supervisor():
            return first.pid
        time.sleep(0.05)
    raise ui.SetupError(f"the test cluster has no namespaces: {_why()}")


def _end(*, keep_logs: bool = False) -> None:
    """End what runs and remove what it made; right also after a kill of any part of it."""
    while first := _supervisor():
        starter = _starter(first)
        first.kill()
        # It is dead only when all other processes of its namespace are.
        _wait(lambda: _supervisor() != first, END_S, f"process {first.pid} does not end")
        if starter:  # ends by itself, a moment after what it started
            with contextlib.suppress(psutil.TimeoutExpired):
                starter.wait(END_S)
    if Path(f"/sys/class/net/{HOST_INTERFACE}").exists():
        machine.output(["ip", "link", "delete", HOST_INTERFACE])
    for root in CGROUP_ROOT.glob(f"*/{CGROUP}"):
        _wait(functools.partial(_remove_cgroup, root), END_S, f"{root} is not empty")
    KUBECONFIG.unlink(missing_ok=True)
    if not keep_logs:
        shutil.rmtree(STATE, ignore_errors=True)
    elif STATE.exists():
        for entry in STATE.iterdir():
            if entry.is_dir() and entry != LOGS:
                shutil.rmtree(entry, ignore_errors=True)


def _starter(first: psutil.Process) -> psutil.Process | None:
    """Return the `unshare` that waits for the first process; None if that was killed."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = first.parent()
        if parent and parent.name() == "unshare":
            return parent
    return None


def _remove_cgroup(root: Path) -> bool:
    for folder in sorted(root.rglob("*/"), key=lambda one: len(one.parts), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    with contextlib.suppress(OSError):
        root.rmdir()
    return not root.exists()


def _supervisor() -> psutil.Process | None:
    """Return the first process of this person's cluster while it lives.

    It is known by its arguments, so that one which a killed `up` left behind is found too.
    """
    for process in psutil.process_iter(["cmdline", "status"]):
        known = process.info["cmdline"] or []
        if known[1:4] == SUPERVISOR and process.info["status"] != psutil.STATUS_ZOMBIE:
            return process
    return None


def _problem() -> str:
    """Return what keeps the cluster from being ready; empty: it is."""

    def look() -> None:
        kubectl("get", "--raw=/readyz", timeout=10)
        kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(STORAGE_CLASS))
        nodes = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
        ready = [
            condition["status"] == "True"
            for node in nodes
            for condition in node["status"]["conditions"]
            if condition["type"] == "Ready"
        ]
        if ready != [True]:
            raise ui.SetupError("its node is not ready yet")
        kubectl("get", "serviceaccount", "default")

    return _failure(look)


def _failure(work: Callable[[], object]) -> str:
    try:
        work()
    except ui.SetupError as error:
        return str(error)
    return ""


def _wait(ready: Callable[[], bool], seconds: float = START_S, otherwise: str = "") -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise ui.SetupError(otherwise or f"not ready after {seconds:.0f} s: {_why()}")
        if not otherwise and _supervisor() is None:
            raise ui.SetupError(f"it ended: {_why()}")
        time.sleep(LOOK_S)


def _why() -> str:
    log = configuration.log("supervisor")
    said = ui.last_line(log) if log.exists() else ""
    return f"{said or _problem()} (logs: {LOGS})"


def _host(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise ui.SetupError(f"{' '.join(argv)}: {done.stderr.strip()}")
