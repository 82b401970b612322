"""The environment of a run: versions and machine."""

import os
import platform
import re
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import psutil
import requests

from infra.outputs import Platform, Target
from workloads import CannotRunError
from workloads.target.access import CA_FILE
from workloads.target.http_options import http_options


def server_version(tracking_uri: str) -> str:
    """Return the tracking server's version; raises `CannotRunError` without an answer in 10 s."""
    try:
        answer = requests.get(f"{tracking_uri.rstrip('/')}/version", timeout=10, **http_options())
        answer.raise_for_status()
    except requests.RequestException as error:
        answered = error.response
        reason = type(error).__name__ if answered is None else f"HTTP {answered.status_code}"
        if isinstance(error, requests.exceptions.SSLError):
            reason = _tls_reason(error)
        remedy = _remedy(error, reason, tracking_uri)
        raise CannotRunError(
            f"no tracking server answers at {tracking_uri} ({reason}): {remedy}"
        ) from None
    return answer.text.strip()


def _tls_reason(error: requests.exceptions.SSLError) -> str:
    """Return what OpenSSL said, without the layers around it."""
    said = re.search(
        r"(certificate verify failed: .*?|\[(?:SSL|X509)[:\w ]*\].*?) \(_ssl", str(error)
    )
    return said[1] if said else str(error)[:200]


_TLS_REMEDIES = (
    ("has expired", "its certificate has to be renewed"),
    ("not yet valid", "compare this machine's clock with the server's"),
    ("mismatch", "use a name in the address that its certificate is for"),
    ("certificate verify failed", "give its authority's certificate by --ca-file or {variable}"),
    ("[X509", "{file} is no certificate in PEM form"),
    ("[SSL", "does it speak TLS? Try http://"),
)


def _remedy(error: requests.RequestException, reason: str, tracking_uri: str) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        for part, remedy in _TLS_REMEDIES:
            if part in reason:
                return remedy.format(variable=CA_FILE, file=os.environ.get(CA_FILE))
    status = None if error.response is None else error.response.status_code
    if status == 400 and tracking_uri.startswith("http://"):
        return "it may speak TLS only; try https://"
    if status in (401, 403):
        return (
            "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
            "or give --token-file"
        )
    return "is it up?"


def describe(tracking_uri: str, target: Target | None) -> dict[str, str]:
    """Return what the figures depend on, by name; raises as `server_version` does."""
    facts = {
        "mlflow server": server_version(tracking_uri),
        "mlflow client": version("mlflow"),
        "Locust": version("locust"),
        "scikit-learn": version("scikit-learn"),
        "Python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()}",
        "CPU": f"{os.cpu_count()} cores, {_cpu_model()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
    }
    if target and target.platform is Platform.DOCKER and target.components:
        facts["Docker"] = _docker_version()
    if target and target.cluster:
        facts["Kubernetes"] = _kubernetes_version(target)
    return facts


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


def _kubernetes_version(target: Target) -> str:
    from workloads.target.pods import ClusterError, Pods

    try:
        return Pods(target).version()
    except ClusterError as error:
        return f"not known ({error})"
