"""The first process of the cluster's namespaces: starts its programs, and starts them again.

When it ends, in whatever way, the kernel ends every process of the cluster, its containers too.
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

LOOK_S = 0.2
PAUSE_S = 1.0
"""Between the end of a program and its next start."""

START_S = 60.0


def main() -> None:
    """Prepare the namespaces, then keep every program running until SIGTERM.

    Arguments: the cluster's folder, which marks this process as its own, and that of the programs.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    programs = configuration.commands(Path(sys.argv[2]))
    _prepare_mounts()
    _prepare_network()
    _prepare_cgroups()
    supervised = Supervised(programs)
    supervised.start("containerd")
    supervised.until(lambda: _answers(CONTAINERD_SOCKET), "containerd")
    if _remove_old_containers():
        # It has read the list of them already.
        supervised.restart("containerd")
        supervised.until(lambda: _answers(CONTAINERD_SOCKET), "containerd")
    supervised.start("etcd")
    supervised.start("kube-apiserver")
    supervised.until(_api_listens, "kube-apiserver")
    for name in programs:
        supervised.start(name)
    while True:
        supervised.look()
        time.sleep(LOOK_S)


class Supervised:
    """Programs that are to run."""

    def __init__(self, commands: dict[str, list[str]]) -> None:
        self._commands = commands
        self._pids: dict[str, int] = {}
        self._starts: dict[str, int] = {}
        self._due: dict[str, float] = {}

    def start(self, name: str) -> None:
        """Start a program unless it runs or is about to be started again."""
        if name in self._pids or name in self._due:
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
        child.returncode = 0  # `look` takes its end, and those of all orphans.
        self._starts[name] = self._starts.get(name, 0) + 1
        self._write()

    def restart(self, name: str) -> None:
        """End a program, to be started again."""
        os.kill(self._pids[name], signal.SIGTERM)
        while name in self._pids:
            self.look()
            time.sleep(LOOK_S)

    def look(self) -> None:
        """Take the ends of processes; start again what ended."""
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
                self._due[name] = time.monotonic() + PAUSE_S
                self._write()
        for name, when in list(self._due.items()):
            if time.monotonic() >= when:
                del self._due[name]
                self.start(name)

    def until(self, ready: Callable[[], bool], name: str) -> None:
        """Wait until `ready()`; end the cluster when it takes too long."""
        end = time.monotonic() + START_S
        while not ready():
            if time.monotonic() > end:
                sys.exit(f"{name} does not answer after {START_S:.0f} s")
            self.look()
            time.sleep(LOOK_S)

    def _write(self) -> None:
        known = {
            name: {"running": name in self._pids, "starts": self._starts.get(name, 0)}
            for name in self._commands
        }
        draft = COMPONENTS.with_suffix(".draft")
        draft.write_text(json.dumps(known))
        draft.replace(COMPONENTS)


def _prepare_mounts() -> None:
    # The kubelet's mounts have to be seen in containers; none goes back to the host.
    _run("mount", "--make-rshared", "/")
    _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(configuration.RUN))


def _prepare_network() -> None:
    end = time.monotonic() + START_S
    # Not from /sys, which still shows the host's interfaces.
    while NODE_INTERFACE not in (name for _, name in socket.if_nameindex()):
        if time.monotonic() > end:
            sys.exit("the link to the host did not come")
        time.sleep(0.05)
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "address", "add", f"{NODE}/{LINK.prefixlen}", "dev", NODE_INTERFACE)
    _run("ip", "link", "set", NODE_INTERFACE, "up")
    _run("ip", "route", "add", "default", "via", str(HOST))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _prepare_cgroups() -> None:
    """Make the cgroup that the kubelet keeps its pods in, in every hierarchy of version 1."""
    for hierarchy in CGROUP_ROOT.iterdir():
        if not (hierarchy / "cgroup.procs").exists():
            continue
        ours = hierarchy / CGROUP
        ours.mkdir(exist_ok=True)
        # An empty cpuset can hold no process.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (ours / name).exists():
                (ours / name).write_text((hierarchy / name).read_text())


def _remove_old_containers() -> bool:
    """Forget the containers of an earlier life; tell whether there were any."""
    ctr = ["ctr", "--address", str(CONTAINERD_SOCKET), "--namespace", "k8s.io"]
    listed = subprocess.run([*ctr, "containers", "ls", "-q"], capture_output=True, text=True)
    old = listed.stdout.split()
    if old:
        _run(*ctr, "containers", "rm", *old)
    return bool(old)


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
