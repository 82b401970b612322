"""The first process of the cluster's namespaces: it starts and restarts the cluster's programs.

When it ends, in whatever way, the kernel ends every process of the cluster, containers included.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from scripts.offline.test_cluster import configuration
from scripts.offline.test_cluster.images import CTR
from scripts.offline.test_cluster.layout import (
    API_PORT,
    CGROUP,
    CGROUP_ROOT,
    COMPONENTS,
    CONTAINERD_SOCKET,
    HOST,
    LINK,
    NODE,
    NODE_INTERFACE,
)

POLL_SECONDS = 0.2
RESTART_DELAY_SECONDS = 1.0
START_SECONDS = 60.0


def main() -> None:
    """Prepare the namespaces, then keep every program running until SIGTERM.

    Arguments: the cluster's folder, by which this process is identified, and that of the programs.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    commands = configuration.commands(Path(sys.argv[2]))
    _prepare_mounts()
    _prepare_network()
    _prepare_cgroups()
    programs = Programs(commands)
    programs.start("containerd")
    programs.wait_until(lambda: _answers(CONTAINERD_SOCKET), "containerd")
    if _remove_old_containers():
        # It has already read the list of them.
        programs.restart("containerd")
        programs.wait_until(lambda: _answers(CONTAINERD_SOCKET), "containerd")
    programs.start("etcd")
    programs.start("kube-apiserver")
    programs.wait_until(_api_listens, "kube-apiserver")
    for name in commands:
        programs.start(name)
    while True:
        programs.reap()
        time.sleep(POLL_SECONDS)


class Programs:
    """Programs that are restarted when they end."""

    def __init__(self, commands: dict[str, list[str]]) -> None:
        self._commands = commands
        self._pids: dict[str, int] = {}
        self._starts: dict[str, int] = {}
        self._restart_at: dict[str, float] = {}

    def start(self, name: str) -> None:
        """Start a program unless it runs or is about to be restarted."""
        if name in self._pids or name in self._restart_at:
            return
        with configuration.log(name).open("ab") as log:
            child = subprocess.Popen(
                self._commands[name],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pids[name] = child.pid
        child.returncode = 0  # `reap` waits for it, as for all orphans.
        self._starts[name] = self._starts.get(name, 0) + 1
        self._write()

    def restart(self, name: str) -> None:
        """End a program, and wait for its end; it is started again."""
        os.kill(self._pids[name], signal.SIGTERM)
        while name in self._pids:
            self.reap()
            time.sleep(POLL_SECONDS)

    def reap(self) -> None:
        """Reap ended processes; restart programs."""
        names = {pid: name for name, pid in self._pids.items()}
        while True:
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if name := names.get(pid):
                del self._pids[name]
                self._restart_at[name] = time.monotonic() + RESTART_DELAY_SECONDS
                self._write()
        for name, when in list(self._restart_at.items()):
            if time.monotonic() >= when:
                del self._restart_at[name]
                self.start(name)

    def wait_until(self, ready: Callable[[], bool], name: str) -> None:
        """Wait until `ready()`; end the cluster if it takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                sys.exit(f"{name} does not answer after {START_SECONDS:.0f} s")
            self.reap()
            time.sleep(POLL_SECONDS)

    def _write(self) -> None:
        components = {
            name: {"running": name in self._pids, "starts": self._starts.get(name, 0)}
            for name in self._commands
        }
        draft = COMPONENTS.with_suffix(".draft")
        draft.write_text(json.dumps(components))
        draft.replace(COMPONENTS)


def _prepare_mounts() -> None:
    # Containers have to see the kubelet's mounts; the host does not.
    _run("mount", "--make-rshared", "/")
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(configuration.RUN))


def _prepare_network() -> None:
    deadline = time.monotonic() + START_SECONDS
    # Not from /sys, which still shows the host's interfaces.
    while NODE_INTERFACE not in (name for _, name in socket.if_nameindex()):
        if time.monotonic() > deadline:
            sys.exit("the link to the host did not come")
        time.sleep(0.05)
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{NODE}/{LINK.prefixlen}", "dev", NODE_INTERFACE)
    _run("ip", "link", "set", NODE_INTERFACE, "up")
    _run("ip", "route", "add", "default", "via", str(HOST))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _prepare_cgroups() -> None:
    """Create the cgroup of the kubelet's pods in every hierarchy of version 1."""
    for hierarchy in CGROUP_ROOT.iterdir():
        if not (hierarchy / "cgroup.procs").exists():
            continue
        cgroup = hierarchy / CGROUP
        cgroup.mkdir(exist_ok=True)
        # An empty cpuset can hold no process.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (cgroup / name).exists():
                (cgroup / name).write_text((hierarchy / name).read_text())


def _remove_old_containers() -> bool:
    """Remove the containers of an earlier run; tell whether there were any."""
    listed = subprocess.run([*CTR, "containers", "ls", "-q"], capture_output=True, text=True)
    containers = listed.stdout.split()
    if containers:
        _run(*CTR, "containers", "rm", *containers)
    return bool(containers)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _api_listens() -> bool:
    try:
        socket.create_connection((str(NODE), API_PORT), timeout=1).close()
    except OSError:
        return False
    return True


def _run(*argv: str) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stderr.strip()}")


if __name__ == "__main__":
    main()
