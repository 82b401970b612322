"""What was read back, by source; the lines are those of `workloads.readback.lines`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workloads.errors import CannotRunError, summary
from workloads.history import Kind, lines

ADDRESS = "address"
"""Source of lines that name none: those of runs that read through the address only."""

Place = tuple[Kind, str, str]
"""Kind, owner, key."""

Found = dict[str, list[str] | None]
"""Values at a place by source; [] where it was read and is not there, None: it was not read."""


@dataclass
class ReadBack:
    """What one source holds: `items[kind, owner][key]` is a list of values."""

    items: dict[tuple[Kind, str], dict[str, list[str]]] = field(default_factory=dict)
    unread: set[Place] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    holds: frozenset[Kind] = frozenset(Kind)
    failed: bool = False

    def values(self, kind: Kind, owner: str, key: str) -> list[str] | None:
        """Values found; [] if it was read and is not there, None if it was not read."""
        place = self.items.get((kind, owner))
        if self.failed or place is None or (kind, owner, key) in self.unread:
            return None
        return place.get(key, [])


@dataclass
class Readings:
    """Everything that was read back."""

    sources: dict[str, ReadBack] = field(default_factory=dict)
    not_done: list[str] = field(default_factory=list)

    def found(self, kind: Kind, owner: str, key: str) -> Found:
        """Return what each source has at a place, of the sources that hold such things."""
        return {
            name: source.values(kind, owner, key)
            for name, source in self.sources.items()
            if kind in source.holds
        }

    def anywhere(self, kind: Kind, owner: str, key: str) -> list[str]:
        """Return the values that any source has at a place."""
        found = self.found(kind, owner, key).values()
        return sorted({value for values in found for value in values or ()})

    @property
    def errors(self) -> list[str]:
        """What could not be read, with its source where there are several."""
        several = len(self.sources) > 1
        return [
            f"{name}: {error}" if several else error
            for name, source in self.sources.items()
            for error in source.errors
        ]

    def add(self, line: dict[str, Any]) -> None:
        """Add a line of a read-back file."""
        name = line.get("source", ADDRESS)
        if "not_done" in line:
            self.not_done.append(line["not_done"])
            return
        source = self.sources.setdefault(name, ReadBack())
        if "holds" in line:
            source.holds = frozenset(map(Kind, line["holds"]))
            if "error" in line:
                source.failed = True
                source.errors.append(line["error"])
            return
        kind, owner = Kind(line["kind"]), line["owner"]
        if line["error"]:
            source.errors.append(f"{kind} of {owner}: {line['error']}")
            return
        source.items.setdefault((kind, owner), {}).update(line["items"])
        for key, error in line["unread"].items():
            source.unread.add((kind, owner, key))
            source.errors.append(f"{kind} {key} of {owner}: {error}")


def checked(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a read-back file; a missing file has none.

    Raises `CannotRunError` if it is damaged.
    """
    if not path.exists():
        return
    for at, line in enumerate(lines(path), 1):
        try:
            Readings().add(line)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CannotRunError(
                f"{path}: line {at} does not fit ({summary(error)}); restore it"
            ) from None
        yield line


def load(path: Path, kinds: frozenset[Kind] = frozenset(Kind)) -> Readings:
    """Read those kinds of a read-back file; raises as `checked`."""
    found = Readings()
    for line in checked(path):
        if "kind" not in line or line["kind"] in kinds:
            found.add(line)
    return found
