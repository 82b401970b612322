"""What a check says."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    Attributes:
        part: what it is about, as `docker`.
        good: False where something is wrong.
        seen: what was seen.
        why: what it comes from; empty where all is well.
        remedy: what to do; empty where all is well.
    """

    part: str
    good: bool
    seen: str
    why: str = ""
    remedy: str = ""


def good(part: str, seen: str) -> Finding:
    """Return a finding of something that is as it should be."""
    return Finding(part, True, seen)


def wrong(part: str, seen: str, why: str, remedy: str) -> Finding:
    """Return a finding of something that has to be mended."""
    return Finding(part, False, seen, why, remedy)
