"""Requests for a part of an artifact, and those that depend on its version (RFC 9110, 13 and 14).

One range is answered with 206. Several in one request are answered with the whole, as the RFC
allows: S3 has no answer with several parts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_RANGE = re.compile(r"(\d*)\s*-\s*(\d*)")

_LARGEST = 2**63 - 1
"""S3 ignores a range with larger numbers."""


@dataclass(frozen=True)
class Facts:
    """What a store knows of an artifact beside its content."""

    size: int
    etag: str
    """With its quotation marks; another one for another content."""
    modified: datetime
    """With a time zone."""

    def headers(self) -> dict[str, str]:
        """Return them as headers of an answer, but for the size."""
        return {
            "Accept-Ranges": "bytes",
            "ETag": self.etag,
            "Last-Modified": format_datetime(self._to_the_second(), usegmt=True),
        }

    def _to_the_second(self) -> datetime:
        return self.modified.astimezone(UTC).replace(microsecond=0)

    def unchanged(self, headers: Mapping[str, str]) -> bool:
        """Return whether a client that asks with these headers has the content already."""
        known = headers.get("if-none-match")
        if known is not None:
            tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
            return "*" in tags or self.etag.removeprefix("W/") in tags
        since = _date(headers.get("if-modified-since"))
        return since is not None and self._to_the_second() <= since

    def is_of(self, version: str) -> bool:
        """Return whether `If-Range` names this version; only then is a part of it of use."""
        return version == self.etag or _date(version) == self._to_the_second()


def asks_for_a_version(headers: Mapping[str, str]) -> bool:
    """Return whether the answer may be that nothing has changed."""
    return "if-none-match" in headers or "if-modified-since" in headers


def _date(header: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date


class NoPartError(Exception):
    """An artifact of `size` bytes has nothing of the part that is asked for."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The artifact has {size} bytes.")
        self.size = size


@dataclass(frozen=True)
class Part:
    """Bytes from `first` to `last`, both included; or the last `last` bytes."""

    first: int | None
    last: int | None

    @classmethod
    def read(cls, header: str | None) -> "Part | None":
        """Return what `Range` asks for; None: all of it. Raises `ValueError` for no range."""
        unit, _, ranges = (header or "").partition("=")
        if unit.strip().lower() != "bytes" or "," in ranges:
            return None
        found = _RANGE.fullmatch(ranges.strip())
        if found is None or found[0].strip() == "-":
            raise ValueError(f"'{header}' is no range of bytes.")
        first, last = (min(int(part), _LARGEST) if part else None for part in found.groups())
        if first is not None and last is not None and last < first:
            raise ValueError(f"'{header}' ends before it begins.")
        return cls(first, last)

    def header(self) -> str:
        """Return it as a `Range` header."""
        first = "" if self.first is None else self.first
        last = "" if self.last is None else self.last
        return f"bytes={first}-{last}"

    def of(self, size: int) -> range:
        """Return the bytes of so many; raise `NoPartError` if there are none."""
        if self.first is None:
            found = range(max(size - (self.last or 0), 0), size)
        else:
            end = size if self.last is None else min(self.last + 1, size)
            found = range(self.first, end)
        if not found:
            raise NoPartError(size)
        return found
