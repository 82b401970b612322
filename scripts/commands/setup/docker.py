"""The Docker engine: the one that answers, else Debian's, installed and started."""

import os
import shutil
import subprocess
import time
from pathlib import Path

from scripts.shared import machine, ui

PART = "docker"
PACKAGES = ("docker.io", "iptables", "iproute2")
LOG = Path("/var/log/mlflow-bench-dockerd.log")
PID_FILES = (Path("/var/run/docker.pid"), Path("/var/run/docker/containerd/containerd.pid"))
START_S = 90.0
RETRY_S = 5.0
"""A daemon that was killed a moment ago can still hold what the next one needs."""


def ensure() -> str:
    """Find or start a Docker engine; return a line that says which."""
    version = answering()
    if version:
        return f"engine {version} at {host() or 'the default address'}"
    own = os.environ.get("DOCKER_HOST")
    if own:
        raise ui.SetupError(f"no Docker engine answers at DOCKER_HOST={own}: start it, or unset it")
    if not machine.debian_root():
        raise ui.SetupError(
            f"no Docker engine answers ({complaint()}): install and start Docker (Docker Desktop, "
            "or your system's package), see that `docker version` names a server, then run this "
            "again"
        )
    with machine.one_at_a_time(PART):
        version = answering()
        return f"engine {version}" if version else _install_and_start()


def host() -> str:
    """Return the engine's address where a context other than the default one is in use."""
    if os.environ.get("DOCKER_HOST"):
        return os.environ["DOCKER_HOST"]
    if (
        not os.environ.get("DOCKER_CONTEXT")
        and not Path("~/.docker/config.json").expanduser().exists()
    ):
        return ""
    form = "{{.Name}} {{.Endpoints.docker.Host}}"
    name, _, address = (
        machine.output(["docker", "context", "inspect", "--format", form]) or ""
    ).partition(" ")
    return "" if name == "default" else address


def is_stale(pid_file: Path, processes: Path = Path("/proc")) -> bool:
    """Tell whether a daemon's pid file names a process that is dead or is another program."""
    try:
        pid = int(pid_file.read_text())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return machine.program(pid, processes) not in ("dockerd", "containerd")


def _install_and_start() -> str:
    took = 0.0
    if shutil.which("dockerd") is None:
        took += machine.apt_install(PART, *PACKAGES)
    if shutil.which("docker") is None:  # Its own package from Debian 13 on.
        took += machine.apt_install(PART, "docker-cli")
    ui.say(PART, "starting the engine")
    began = time.monotonic()
    daemon: subprocess.Popen[bytes] | None = None
    while not (version := answering()):
        if time.monotonic() - began > START_S:
            raise ui.SetupError(f"dockerd does not answer after {ui.elapsed(START_S)} (log: {LOG})")
        if daemon and daemon.poll() is not None and time.monotonic() - began > RETRY_S:
            raise ui.SetupError(f"dockerd ended at once: {ui.last_line(LOG)} (log: {LOG})")
        if daemon is None or daemon.poll() is not None:
            daemon = _start()
        time.sleep(0.5)
        ui.raise_if_cancelled()
    took += time.monotonic() - began
    return f"engine {version}, Debian's, ready after {ui.elapsed(took)} (log: {LOG})"


def _start() -> subprocess.Popen[bytes] | None:
    """Start the daemon unless one runs; a killed one's files do not count, nor hinder."""
    for pid_file in PID_FILES:
        if is_stale(pid_file):
            pid_file.unlink()
    if PID_FILES[0].exists():
        return None
    with LOG.open("ab") as log:
        if Path("/run/systemd/system").exists():
            command = ["systemctl", "start", "docker"]
        else:
            command = ["dockerd"]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )


def complaint() -> str:
    """Return what `docker version` says where no engine answers."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    done = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it names no server"


def answering() -> str | None:
    """Return the version of the engine that answers; None if none does."""
    return machine.output(["docker", "version", "--format", "{{.Server.Version}}"])
