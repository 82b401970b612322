"""Starting and stopping the test cluster, whatever is left of an earlier one."""

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
from scripts.shared import machine, ui
from scripts.shared.project import ROOT

PART = build.PART
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "unshare": "util-linux",
}
"""Programs of this machine that the node needs, and the Debian packages that have them."""

START_SECONDS = 120.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.2

SUPERVISOR = ["-m", supervisor.__name__, str(HOME)]
"""Arguments of Python that identify the cluster's first process."""

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
    built = build.ensure()
    with _lock():
        if _supervisor() and not _unready_reason():
            return f"{built}; runs already: context {CONTEXT} in {KUBECONFIG}"
        _stop()
        began = time.monotonic()
        try:
            _start()
            # Repeated: containerd is restarted if an earlier run left containers.
            _wait(lambda: not _error(lambda: images.load_pause(build.folder() / "pause")))
            images.prune()
            _wait(lambda: not _unready_reason())
        except BaseException:
            _stop(keep_logs=True)
            raise
        took = ui.elapsed(time.monotonic() - began)
    return f"{built}; ready after {took}: context {CONTEXT} in {KUBECONFIG}"


def down() -> str:
    """Stop the cluster and remove all that is in it except images; return what was done."""
    with _lock():
        existed = _supervisor() is not None or STATE.exists()
        _stop()
    return "ended; nothing of it is left but its images" if existed else "there was none"


def status() -> tuple[bool, str]:
    """Return whether the cluster is ready, and a line about its programs."""
    if _supervisor() is None:
        return False, "does not run; start it with scripts/offline/cluster up"
    components = json.loads(COMPONENTS.read_text()) if COMPONENTS.exists() else {}
    programs = [
        name
        + ("" if component["running"] else " (down)")
        + (f" (started {component['starts']} times)" if component["starts"] > 1 else "")
        for name, component in components.items()
    ]
    reason = _unready_reason()
    return not reason, f"{reason or 'ready'}: {', '.join(programs)}"


def kubectl_command(*arguments: str) -> list[str]:
    """Return the command line of kubectl for this cluster."""
    kubectl_path = str(build.folder() / "kubectl")
    return [kubectl_path, f"--kubeconfig={KUBECONFIG}", f"--context={CONTEXT}", *arguments]


def kubectl(*arguments: str, stdin: str | None = None, timeout: float = 20.0) -> str:
    """Run kubectl on this cluster; return its output, or raise `SetupError`."""
    command = kubectl_command(*arguments)
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout)
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
    missing = sorted({package for name, package in PACKAGES.items() if not shutil.which(name)})
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
def _lock() -> Iterator[None]:
    """Let one command at a time change the one cluster of this user."""
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
    unshare = ["unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child"]
    unshare += ["--mount-proc", "--"]
    with configuration.log("supervisor").open("wb") as log:
        parent = subprocess.Popen(
            [*unshare, sys.executable, *SUPERVISOR, programs],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=ROOT,
            start_new_session=True,
        )
    supervisor = _wait_for_supervisor(parent)
    parent.returncode = 0  # It outlives this command: spare it the warning about a running child.
    _host("ip", "link", "add", HOST_INTERFACE, "type", "veth", "peer", "name", NODE_INTERFACE)
    _host("ip", "address", "add", f"{HOST}/{LINK.prefixlen}", "dev", HOST_INTERFACE)
    _host("ip", "link", "set", HOST_INTERFACE, "up")
    _host("ip", "link", "set", NODE_INTERFACE, "netns", str(supervisor.pid))


def _wait_for_supervisor(parent: "subprocess.Popen[bytes]") -> psutil.Process:
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and parent.poll() is None:
        if supervisor := _supervisor():
            return supervisor
        time.sleep(0.05)
    raise ui.SetupError(f"the test cluster has no namespaces: {_last_log_line()}")


def _stop(*, keep_logs: bool = False) -> None:
    """Stop what runs and remove its traces, also after a kill of any part of it."""
    while supervisor := _supervisor():
        unshare = _unshare_process(supervisor)
        supervisor.kill()
        # It is dead only when all other processes of its namespace are.
        _wait(
            lambda: _supervisor() != supervisor,
            STOP_SECONDS,
            f"process {supervisor.pid} does not end",
        )
        if unshare:  # It ends by itself, a moment after its child.
            with contextlib.suppress(psutil.TimeoutExpired):
                unshare.wait(STOP_SECONDS)
    if Path(f"/sys/class/net/{HOST_INTERFACE}").exists():
        machine.output(["ip", "link", "delete", HOST_INTERFACE])
    for root in CGROUP_ROOT.glob(f"*/{CGROUP}"):
        _wait(functools.partial(_remove_cgroup, root), STOP_SECONDS, f"{root} is not empty")
    KUBECONFIG.unlink(missing_ok=True)
    if not keep_logs:
        shutil.rmtree(STATE, ignore_errors=True)
    elif STATE.exists():
        for entry in STATE.iterdir():
            if entry.is_dir() and entry != LOGS:
                shutil.rmtree(entry, ignore_errors=True)


def _unshare_process(supervisor: psutil.Process) -> psutil.Process | None:
    """Return the `unshare` that waits for the supervisor; None if that was killed."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = supervisor.parent()
        if parent and parent.name() == "unshare":
            return parent
    return None


def _remove_cgroup(root: Path) -> bool:
    for folder in sorted(root.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
        with contextlib.suppress(OSError):
            folder.rmdir()
    with contextlib.suppress(OSError):
        root.rmdir()
    return not root.exists()


def _supervisor() -> psutil.Process | None:
    """Return the first process of this user's cluster, if it runs.

    It is identified by its arguments, so that one left by a killed `up` is found as well.
    """
    for process in psutil.process_iter(["cmdline", "status"]):
        arguments = process.info["cmdline"] or []
        if arguments[1:4] == SUPERVISOR and process.info["status"] != psutil.STATUS_ZOMBIE:
            return process
    return None


def _unready_reason() -> str:
    """Return why the cluster is not ready; empty if it is."""

    def check() -> None:
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

    return _error(check)


def _error(work: Callable[[], object]) -> str:
    """Return the message of the `SetupError` that `work` raises; empty if it raises none."""
    try:
        work()
    except ui.SetupError as error:
        return str(error)
    return ""


def _wait(ready: Callable[[], bool], seconds: float = START_SECONDS, otherwise: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise ui.SetupError(otherwise or f"not ready after {seconds:.0f} s: {_last_log_line()}")
        if not otherwise and _supervisor() is None:
            raise ui.SetupError(f"it ended: {_last_log_line()}")
        time.sleep(POLL_SECONDS)


def _last_log_line() -> str:
    log = configuration.log("supervisor")
    line = ui.last_line(log) if log.exists() else ""
    return f"{line or _unready_reason()} (logs: {LOGS})"


def _host(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise ui.SetupError(f"{' '.join(argv)}: {done.stderr.strip()}")
