"""Releases of mlflow's client, each in an environment of its own in the user's cache folder."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from scripts.shared.project import CACHE, ROOT, pin
from scripts.shared.venv import PYTHON, UV, uv_cause, uv_settings

RELEASES = ("2.22.5", "3.14.0", "3.16.1", "3.17.2", "3.18.0")
"""Those whose clients are tried. One that cannot be installed is told, and tried when it can be."""

TIMEOUT_S = 900


class CannotInstallError(Exception):
    """A release cannot be had; one line says why."""


GENERATOR = ("duckdb", "gevent", "locust")
"""What makes the load and judges it has the pinned version; all else one that fits the release."""


def workload_requirements() -> list[str]:
    """Return what workloads need beside mlflow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = [re.match(r"[\w.-]+", line) for line in project["dependencies"]]
    names = sorted({name[0] for name in found if name} - {"mlflow", "mypy", "ruff", *GENERATOR})
    needed = [name for name in names if not name.startswith(("types-", "pytest"))]
    return [*needed, *(f"{name}=={pin(name)}" for name in GENERATOR)]


def requirements(release: str) -> list[str]:
    """Return what goes into the environment of a release."""
    needed = [f"mlflow=={release}"]
    if release.startswith("2."):
        # mlflow 2 imports pkg_resources, which later ones have no more; and with a later
        # OpenTelemetry its traces have no spans, which nobody is told (tried: 1.43 and 1.45).
        needed += ["setuptools<81", "opentelemetry-sdk<1.44"]
    return needed


def python_of(release: str, cache: Path = CACHE, *, workloads: bool = False) -> Path:
    """Return the Python that has this release; made by uv at first, in some seconds.

    With `workloads` it has all that a load needs, too. Raises `CannotInstallError`.
    """
    needed = requirements(release) + (workload_requirements() if workloads else [])
    content = "\n".join([sys.version, *needed])
    digest = hashlib.sha256(content.encode()).hexdigest()[:12]
    folder = cache / "clients" / f"{release}-{digest}"
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    making = folder.with_name(f"{folder.name}.{os.getpid()}")
    environment = os.environ | uv_settings()
    try:
        _uv(["venv", "--quiet", "--python", PYTHON, "--relocatable", str(making)], environment)
        _uv(
            ["pip", "install", "--quiet", "--python", str(making / "bin" / "python"), *needed],
            environment,
        )
        (making / "complete").touch()
        # Of several that make it at once, the first one stays.
        if not (folder / "complete").exists():
            making.rename(folder)
    except CannotInstallError as error:
        raise CannotInstallError(f"mlflow {release} cannot be installed: {error}") from None
    except OSError:
        if not (folder / "complete").exists():
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return python


def _uv(arguments: list[str | Path], environment: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            [UV, *arguments], capture_output=True, text=True, env=environment, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotInstallError(str(error)) from None
    if done.returncode:
        raise CannotInstallError(uv_cause(done.stderr))
