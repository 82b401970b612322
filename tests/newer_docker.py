"""Run a command on Docker 26.1, Debian trixie's, beside the engine of this machine.

`python -m tests.newer_docker [--containerd-store] -- COMMAND ...`

The engine has a root, a network namespace, a socket and data of its own, and the command runs in
that namespace: the engine of the machine and its addresses are not touched. The root is kept in the
cache; all else is removed at the end. It needs root on Debian, as `debootstrap` does.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.offline import base_image
from scripts.shared import machine, ui
from scripts.shared.project import BASE_IMAGE, CACHE, LOGS

PART = "docker 26"
PACKAGES = "ca-certificates,docker.io,iptables,iproute2"
ROOT = CACHE / "docker-trixie"
NAMESPACE = "mlflow-bench-docker"
LINKS = ("mlb-docker", "mlb-docker-in")
HERE, THERE, NETWORK = "10.234.17.1", "10.234.17.2", "10.234.17.0/30"
POOL = "10.235.0.0/16"
"""Where the engine takes networks from: not where the engine of the machine does."""

BUNDLE = Path("etc/ssl/certs/ca-certificates.crt")
ENGINE = Path("var/lib/mlflow-bench-docker")
SOCKET = ENGINE / "docker.sock"
START_S = 60.0

IN_NAMESPACE = ("nsenter", f"--net=/run/netns/{NAMESPACE}")
"""Before a command: `ip netns exec` would hide the cgroups from it."""

START = """
mount --make-rprivate /
mount --bind "$0" "$0"
for one in proc sys dev; do mount --rbind "/$one" "$0/$one"; done
cd "$0"
pivot_root . mnt
umount -l /mnt
exec dockerd --config-file "/$1/daemon.json"
"""
"""Runs the daemon; its root has to be a mount, as it unpacks images below a root of its own."""


def make_root() -> None:
    """Unpack the packages into the cache, once."""
    if ROOT.exists():
        return
    if not machine.debian_root():
        raise ui.SetupError("an engine beside this machine's can be made only as root on Debian")
    if shutil.which("debootstrap") is None:
        machine.apt_install(PART, "debootstrap")
    with machine.one_at_a_time(PART) as scratch:
        if ROOT.exists():
            return
        argv: list[str | Path] = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}"]
        draft = scratch / "root"
        ui.run(
            PART,
            "unpacking Docker of trixie",
            [*argv, base_image.SUITE, draft, *base_image.mirror()],
            log=LOGS / "docker-trixie.log",
            detail=ui.last_line,
        )
        draft.rename(ROOT)


@contextmanager
def namespace() -> Iterator[None]:
    """Have a network namespace that reaches what this machine reaches."""
    ending = [
        ["ip", "netns", "delete", NAMESPACE],
        ["ip", "link", "delete", LINKS[0]],
        ["iptables", "-t", "nat", "-D", "POSTROUTING", "-s", NETWORK, "-j", "MASQUERADE"],
        ["iptables", "-D", "FORWARD", "-i", LINKS[0], "-j", "ACCEPT"],
        ["iptables", "-D", "FORWARD", "-o", LINKS[0], "-j", "ACCEPT"],
    ]
    for argv in ending:  # What a killed run left.
        subprocess.run(argv, capture_output=True)
    inside = ["ip", "-n", NAMESPACE]
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    try:
        for argv in (
            ["ip", "netns", "add", NAMESPACE],
            ["ip", "link", "add", LINKS[0], "type", "veth", "peer", "name", LINKS[1]],
            ["ip", "link", "set", LINKS[1], "netns", NAMESPACE],
            ["ip", "addr", "add", f"{HERE}/30", "dev", LINKS[0]],
            ["ip", "link", "set", LINKS[0], "up"],
            [*inside, "addr", "add", f"{THERE}/30", "dev", LINKS[1]],
            [*inside, "link", "set", LINKS[1], "up"],
            [*inside, "link", "set", "lo", "up"],
            [*inside, "route", "add", "default", "via", HERE],
            ["iptables", "-t", "nat", "-A", "POSTROUTING", "-s", NETWORK, "-j", "MASQUERADE"],
            ["iptables", "-I", "FORWARD", "-i", LINKS[0], "-j", "ACCEPT"],
            ["iptables", "-I", "FORWARD", "-o", LINKS[0], "-j", "ACCEPT"],
        ):
            subprocess.run(argv, check=True)
        if forwarding.read_text().strip() != "1":
            raise ui.SetupError(f"{forwarding} is 0: this machine forwards nothing")
        yield
    finally:
        for argv in ending:
            subprocess.run(argv, capture_output=True)


@contextmanager
def engine(containerd_store: bool) -> Iterator[str]:
    """Have the engine run in the namespace; yield its address."""
    home = ROOT / ENGINE
    configuration = {
        "data-root": f"/{ENGINE}/data",
        "exec-root": f"/{ENGINE}/exec",
        "pidfile": f"/{ENGINE}/docker.pid",
        "hosts": [f"unix:///{SOCKET}"],
        "default-address-pools": [{"base": POOL, "size": 24}],
        "features": {"containerd-snapshotter": containerd_store},
    }
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "daemon.json").write_text(json.dumps(configuration))
    for name in (BUNDLE, Path("etc/resolv.conf")):
        shutil.copyfile(Path("/") / name, ROOT / name)
    daemon = None
    try:
        with (home / "log").open("w") as log:
            daemon = subprocess.Popen(
                [*IN_NAMESPACE, "unshare", "--mount", "sh", "-ec", START, str(ROOT), str(ENGINE)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        address = f"unix://{ROOT / SOCKET}"
        _wait(daemon, address, home / "log")
        yield address
    finally:
        if daemon:
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(60)
            daemon.kill()
        shutil.rmtree(home, ignore_errors=True)


def _wait(daemon: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    began = time.monotonic()
    form = "{{.Server.Version}}, API {{.Server.APIVersion}}"
    while not (version := machine.output(["docker", "-H", address, "version", "--format", form])):
        if daemon.poll() is not None or time.monotonic() - began > START_S:
            raise ui.SetupError(f"dockerd does not answer: {ui.last_line(log)}")
        time.sleep(0.5)
    store = machine.output(["docker", "-H", address, "info", "--format", "{{.Driver}}"])
    ui.say(PART, f"engine {version}, storage {store}")


def take_base_image(address: str) -> None:
    """Copy the base image from the engine of the machine, where that has it."""
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        for argv in (["save", "-o", archive.name, BASE_IMAGE], ["load", "-i", archive.name]):
            where = ["-H", address] if argv[0] == "load" else []
            done = subprocess.run(["docker", *where, *argv], capture_output=True, text=True)
            if done.returncode:
                ui.say(PART, f"{BASE_IMAGE} is made anew: {done.stderr.strip()}")
                return


def run(command: Sequence[str], containerd_store: bool) -> int:
    """Run a command with the engine as DOCKER_HOST; return its exit status."""
    make_root()
    with namespace(), engine(containerd_store) as address:
        take_base_image(address)
        return subprocess.run(
            [*IN_NAMESPACE, *command], env={**os.environ, "DOCKER_HOST": address}
        ).returncode


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m tests.newer_docker", description=__doc__)
    parser.add_argument("--containerd-store", action="store_true", help="as Docker 29 has it")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args()
    ui.interrupt_on_termination()
    try:
        return run(options.command, options.containerd_store)
    except (ui.SetupError, OSError, subprocess.CalledProcessError) as error:
        ui.say(PART, str(error))
    except KeyboardInterrupt:
        ui.say(PART, "interrupted")
    return 2


if __name__ == "__main__":
    sys.exit(main())
