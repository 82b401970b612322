"""An undecided run is tried once more: the cause may have been a busy minute."""

from pathlib import Path

from workloads.verdict.result import DurabilityVerdict, Judgement, Result

UNDECIDED = "undecided"
"""Folder for the files of the first try, in that of the run."""

KEPT = frozenset({"deploy.json", "run.log", UNDECIDED})
"""Files of scripts in the folder of a run; they belong to both tries."""


def is_worthwhile(result: Result) -> bool:
    """Whether another try may decide the run."""
    return (
        result.verdict.judgement is Judgement.INVALID
        and not result.interrupted
        and result.durability.verdict is not DurabilityVerdict.UNKNOWN
    )


def set_aside(folder: Path) -> Path:
    """Move the files of the first try away; returns their folder."""
    destination = folder / UNDECIDED
    destination.mkdir()
    for path in folder.iterdir():
        if path.name not in KEPT:
            path.replace(destination / path.name)
    return destination
