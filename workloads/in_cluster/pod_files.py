"""Files that the pod and the machine outside exchange."""

import hashlib
from pathlib import Path

PLAN_FOLDER = Path("/run/plan")
"""The plan in the pod, from a ConfigMap."""

PLAN = "plan.json"
SOURCES = "sources"
"""File with the digest of the code outside."""

ACCESS_FOLDER = Path("/run/access")
"""CA and credentials in the pod, from a Secret; see `workloads.target.access`."""

RESULTS = Path("/results")
"""Files of the run in the pod."""

NODE = "NODE"
"""Environment variable with the name of the pod's node."""


def checksum(path: Path) -> tuple[int, str]:
    """Return size in bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return path.stat().st_size, digest
