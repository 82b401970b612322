"""Durations as Docker writes them: `1s`, `1m30s`, `500ms`, `1h0m0s`."""

import re
from decimal import Decimal

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


def duration(value: str) -> str | None:
    """A rule: the value is a duration, written as Docker gives it back."""
    number = nanoseconds(value)
    if number is None:
        return "must be a duration such as 1s or 1m30s"
    if (written := canonical(number)) != value:
        return f"must be written as Docker gives it back, {written}: any other form is a change"
    return None


def nanoseconds(value: str) -> int | None:
    """The duration in nanoseconds, or None when it is not one."""
    if value == "0":
        return 0
    parts = list(_PART.finditer(value))
    if not parts or "".join(part.group() for part in parts) != value:
        return None
    return round(sum(float(part[1]) * _UNITS[part[2]] for part in parts))


def canonical(number: int) -> str:
    """The one form of a duration in nanoseconds that is read back."""
    for unit in ("ns", "µs", "ms"):
        if 0 < number < 1000 * _UNITS[unit]:
            return f"{_number(number, unit)}{unit}"
    minutes, rest = divmod(number, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    written = f"{hours}h" if hours else ""
    written += f"{minutes}m" if hours or minutes else ""
    return f"{written}{_number(rest, 's')}s"


def _number(number: int, unit: str) -> str:
    return f"{(Decimal(number) / _UNITS[unit]).normalize():f}"
