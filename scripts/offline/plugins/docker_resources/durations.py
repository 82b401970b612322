"""Durations as Docker writes them: `1s`, `1m30s`, `500ms`."""

import re

_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)")


def duration(value: str) -> str | None:
    """A rule: the value is a duration."""
    return None if nanoseconds(value) is not None else "must be a duration such as 1s or 1m30s"


def nanoseconds(value: str) -> int | None:
    """The duration in nanoseconds, or None when it is not one."""
    if value == "0":
        return 0
    parts = list(_PART.finditer(value))
    if not parts or "".join(part.group() for part in parts) != value:
        return None
    return round(sum(float(part[1]) * _UNITS[part[2]] for part in parts))
