"""Where the files of a run go."""

import re
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path("results")
"""Where runs go without --results."""


def new_folder(subject: str) -> Path:
    """Return the folder of a run that starts now."""
    name = re.sub(r"[^\w.-]+", "-", subject)
    return RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"


def link_latest(folder: Path) -> None:
    """Let `latest` beside the folder point to it, in one step."""
    link = folder.parent / "latest"
    draft = folder.parent / f".latest-{folder.name}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name)
    draft.replace(link)
