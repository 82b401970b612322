"""What the pod and the machine outside have to agree on."""

import hashlib
from pathlib import Path

PLAN_FOLDER = Path("/run/plan")
"""Where the pod has its plan, from a ConfigMap."""

PLAN = "plan.json"
SOURCES = "sources"
"""File with what `sources` says outside."""

RESULTS = Path("/results")
"""Where the pod leaves the files of the run."""

NODE = "NODE"
"""Environment variable with the name of the pod's node."""


def seal(path: Path) -> tuple[int, str]:
    """Return size in bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path.stat().st_size, digest
