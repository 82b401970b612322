"""What a run was made with: versions and machine."""

import os
import platform
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import psutil
import requests

from infra.outputs import Platform, Target
from workloads.errors import CannotRunError


def server_version(tracking_uri: str) -> str:
    """Version that the tracking server says it is.

    Raises `CannotRunError` if it does not answer within 10 s.
    """
    try:
        answer = requests.get(f"{tracking_uri.rstrip('/')}/version", timeout=10)
        answer.raise_for_status()
    except requests.RequestException as error:
        reason = f"HTTP {error.response.status_code}" if error.response else type(error).__name__
        raise CannotRunError(
            f"no tracking server answers at {tracking_uri} ({reason}): is the stack up?"
        ) from None
    return answer.text.strip()


def describe(target: Target) -> dict[str, str]:
    """Name what the figures depend on; raises as `server_version` does."""
    found = {
        "mlflow server": server_version(target.tracking_uri),
        "mlflow client": version("mlflow"),
        "Locust": version("locust"),
        "scikit-learn": version("scikit-learn"),
        "Python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "CPU": f"{os.cpu_count()} cores, {_cpu_model()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
    }
    if target.platform is Platform.DOCKER and target.components:
        found["Docker"] = _docker_version()
    return found


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _docker_version() -> str:
    import docker
    from docker.errors import DockerException

    try:
        with closing(docker.from_env()) as client:
            return str(client.version()["Version"])
    except DockerException as error:
        return f"not known ({type(error).__name__})"
