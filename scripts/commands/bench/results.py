"""Folders for what a command leaves."""

from datetime import UTC, datetime
from pathlib import Path

from scripts.shared.project import ROOT

RESULTS = ROOT / "results"


def new_run(name: str) -> Path:
    """Make the folder of a run that begins now, as `results/20260102T030405Z-local`."""
    return make(RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}")


def make(folder: Path) -> Path:
    """Make a folder of this name, with a number added where there is one already; return it."""
    candidate, number = folder, 1
    while True:
        try:
            candidate.mkdir(parents=True)
            return candidate
        except FileExistsError:
            number += 1
            candidate = folder.with_name(f"{folder.name}.{number}")
