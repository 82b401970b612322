"""Is everything that was acknowledged still there, and nothing else?

Sets per kind, after Jepsen's `set` checker: attempted, acknowledged, present, lost (acknowledged
and absent), recovered (not acknowledged and present), unexpected (present and never attempted),
duplicates, and unread. Things are compared in two ways:

- *written once* (runs, parameters, metric points, models, data sets): owner, key and value are
  the thing, and each acknowledged one has to be there;
- *overwritten* (tags, statuses, artifacts): owner and key are the thing, and its value has to be
  one that could be the last: of a write that no acknowledged one definitely followed.
"""

import json
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workloads.errors import CannotRunError, summary
from workloads.history import Kind, Operation, Write, lines, operations
from workloads.result import Durability, DurabilityVerdict, KindSets

OVERWRITTEN = frozenset({Kind.TAG, Kind.STATUS, Kind.ARTIFACT, Kind.ALIAS})
CREATED = frozenset({Kind.RUN, Kind.MODEL, Kind.VERSION})

PART_BYTES = 32 * 2**20
"""Size of history that is compared at once: owners are spread over as many parts as that makes,
so that memory does not grow with the length of a run."""

MOST_FINDINGS = 1000

Place = tuple[Kind, str, str]
"""Kind, owner, key."""


@dataclass
class ReadBack:
    """What was read: `items[kind, owner][key]` is a list of values."""

    items: dict[tuple[Kind, str], dict[str, list[str]]] = field(default_factory=dict)
    unread: set[Place] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)

    def values(self, kind: Kind, owner: str, key: str) -> list[str] | None:
        """Values found; [] if it was read and is not there, None if it was not read."""
        place = self.items.get((kind, owner))
        if place is None or (kind, owner, key) in self.unread:
            return None
        return place.get(key, [])

    def add(self, line: dict[str, Any]) -> None:
        """Add a line of a read-back file."""
        kind, owner = Kind(line["kind"]), line["owner"]
        if line["error"]:
            self.errors.append(f"{kind} of {owner}: {line['error']}")
            return
        self.items.setdefault((kind, owner), {}).update(line["items"])
        for key, error in line["unread"].items():
            self.unread.add((kind, owner, key))
            self.errors.append(f"{kind} {key} of {owner}: {error}")


@dataclass
class _Attempt:
    """A write with its owner, and the operation that wanted it."""

    write: Write
    id: str
    user: int
    name: str
    outcome: str
    invoked_ns: int
    completed_ns: int | None

    @property
    def acknowledged(self) -> bool:
        return self.outcome == "ok"


def judge(history: Path, readback: Path) -> Durability:
    """Compare what a run attempted with what was read; a missing file reads as nothing.

    Raises `CannotRunError` if a file is damaged.
    """
    made = load(readback, CREATED)
    number = 1 + (history.stat().st_size if history.exists() else 0) // PART_BYTES
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as folder:
        parts = [Path(folder) / str(part) for part in range(number)]
        with ExitStack() as stack:
            files = [stack.enter_context(part.open("w")) for part in parts]
            for attempt in _attempts(operations(history), made):
                write = attempt.write
                fields = vars(attempt) | {
                    "write": [write.kind, write.owner, write.key, write.value]
                }
                place = files[_part(write.kind, write.owner or "", write.key, number)]
                place.write(json.dumps(fields) + "\n")
        found = [
            _check(_saved(path), load(readback, part=(part, number)))
            for part, path in enumerate(parts)
        ]
    return _merged(found)


def check(attempted: Iterable[Operation], read: ReadBack) -> Durability:
    """Compare what was attempted with what was read, all in memory."""
    return _merged([_check(_attempts(attempted, read), read)])


def load(
    path: Path, kinds: frozenset[Kind] = frozenset(Kind), part: tuple[int, int] = (0, 1)
) -> ReadBack:
    """Read those kinds of one part of a read-back file."""
    found = ReadBack()
    if not path.exists():
        return found
    this, number = part
    for at, line in enumerate(lines(path), 1):
        try:
            kind, owner = Kind(line["kind"]), line["owner"]
            if kind not in kinds:
                continue
            for name in ("items", "unread"):
                line[name] = {
                    key: value
                    for key, value in line[name].items()
                    if _part(kind, owner, key, number) == this
                }
            # That it was read is to be known for what was created in every part.
            if kind in CREATED or _part(kind, owner, "", number) == this:
                found.add(line)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CannotRunError(
                f"{path}: line {at} does not fit ({summary(error)}); restore it"
            ) from None
    return found


def _part(kind: Kind, owner: str, key: str, number: int) -> int:
    """Part of a place: all of an owner is in one, as is all that is made under one key."""
    return zlib.crc32((key if kind in CREATED else owner).encode()) % number


def _saved(path: Path) -> Iterator[_Attempt]:
    for line in lines(path):
        kind, owner, key, value = line.pop("write")
        yield _Attempt(write=Write(Kind(kind), owner, key, value), **line)


def _check(attempted: Iterable[_Attempt], read: ReadBack) -> Durability:
    attempts: dict[Kind, dict[tuple[str, str], list[_Attempt]]] = {kind: {} for kind in Kind}
    for attempt in attempted:
        write = attempt.write
        place = (write.owner or "", write.key)
        attempts[write.kind].setdefault(place, []).append(attempt)
    kinds = {}
    findings: list[str] = []
    for kind in Kind:
        sets = KindSets()
        keys: dict[str, set[str]] = defaultdict(set)
        for place, tried in attempts[kind].items():
            keys[place[0]].add(place[1])
            _compare(kind, place, tried, read.values(kind, *place), sets, findings)
        for (found_kind, owner), items in read.items.items():
            if found_kind is not kind:
                continue
            for key in items.keys() - keys[owner]:
                sets.present += len(items[key])
                sets.unexpected += len(items[key])
                findings += [_unexpected(kind, owner, key, value) for value in items[key]]
        if sets.attempted or sets.present:
            kinds[kind.value] = sets
    return Durability(
        verdict=_verdict(kinds), kinds=kinds, findings=findings, read_errors=read.errors
    )


def _merged(parts: list[Durability]) -> Durability:
    kinds: dict[str, KindSets] = {}
    for kind in Kind:
        sets = [part.kinds[kind.value] for part in parts if kind.value in part.kinds]
        if sets:
            sums = {name: sum(getattr(s, name) for s in sets) for name in KindSets.model_fields}
            kinds[kind.value] = KindSets(**sums)
    findings = [finding for part in parts for finding in part.findings]
    read_errors = list(dict.fromkeys(error for part in parts for error in part.read_errors))
    return Durability(
        verdict=_verdict(kinds),
        kinds=kinds,
        findings=_first(findings),
        read_errors=_first(read_errors),
    )


def _first(said: list[str]) -> list[str]:
    more = len(said) - MOST_FINDINGS
    return [*said[:MOST_FINDINGS], f"… and {more} more"] if more > 0 else said


def _verdict(kinds: dict[str, KindSets]) -> DurabilityVerdict:
    if any(k.lost or k.unexpected or k.duplicates for k in kinds.values()):
        return DurabilityVerdict.FAIL
    if any(k.unread for k in kinds.values()) or not any(k.acknowledged for k in kinds.values()):
        return DurabilityVerdict.UNKNOWN
    return DurabilityVerdict.PASS


def _attempts(attempted: Iterable[Operation], read: ReadBack) -> Iterator[_Attempt]:
    """Every write with its owner; one whose owner nobody knows has no place to be looked for."""
    for operation in attempted:
        made = operation.created
        for write in operation.writes:
            owner, value = write.owner, write.value
            if write.kind in CREATED:
                values = read.values(write.kind, owner or "", write.key) or []
                made = made or (values[0] if len(values) == 1 else None)
                value = made
            elif owner is None:
                owner = made
            if owner is None and write.kind not in CREATED:
                continue
            yield _Attempt(
                write=Write(write.kind, owner, write.key, value),
                id=operation.id,
                user=operation.user,
                name=operation.name,
                outcome=operation.outcome,
                invoked_ns=operation.invoked_ns,
                completed_ns=operation.completed_ns,
            )


def _compare(
    kind: Kind,
    place: tuple[str, str],
    tried: list[_Attempt],
    present: list[str] | None,
    sets: KindSets,
    findings: list[str],
) -> None:
    if kind in OVERWRITTEN:
        _overwritten(kind, place, tried, present, sets, findings)
    else:
        _written_once(kind, place, tried, present, sets, findings)


def _written_once(
    kind: Kind,
    place: tuple[str, str],
    tried: list[_Attempt],
    present: list[str] | None,
    sets: KindSets,
    findings: list[str],
) -> None:
    by_value: dict[str | None, list[_Attempt]] = defaultdict(list)
    for attempt in tried:
        by_value[attempt.write.value].append(attempt)
    sets.attempted += len(by_value)
    acknowledged = {v: a for v, a in by_value.items() if any(x.acknowledged for x in a)}
    sets.acknowledged += len(acknowledged)
    if present is None:
        sets.unread += len(acknowledged)
        return
    sets.present += len(set(present))
    for value, attempts in acknowledged.items():
        if value not in present:
            sets.lost += 1
            findings.append(_lost(kind, place, attempts, present))
    sets.recovered += len(set(present) & by_value.keys() - acknowledged.keys())
    for value in sorted(set(present)):
        copies = present.count(value) - 1
        sets.duplicates += copies
        if copies:
            findings.append(f"duplicate: {_thing(kind, *place, value)} is there {copies + 1} times")
    strangers = sorted(set(present) - by_value.keys())
    if kind in CREATED:
        # One place, several ids: each beyond the one that was asked for is a double.
        extra = len(set(present)) - 1 if len(set(present)) > 1 else 0
        sets.duplicates += extra
        if extra:
            ids = ", ".join(sorted(set(present)))
            findings.append(f"duplicate: {kind} {place[1]} was made {extra + 1} times: {ids}")
        return
    sets.unexpected += len(strangers)
    findings += [_unexpected(kind, *place, value) for value in strangers]


def _overwritten(
    kind: Kind,
    place: tuple[str, str],
    tried: list[_Attempt],
    present: list[str] | None,
    sets: KindSets,
    findings: list[str],
) -> None:
    sets.attempted += 1
    acknowledged = [a for a in tried if a.acknowledged]
    sets.acknowledged += bool(acknowledged)
    if present is None:
        sets.unread += bool(acknowledged)
        return
    sets.present += len(present)
    if len(present) > 1:
        sets.duplicates += len(present) - 1
        findings.append(f"duplicate: {kind} {place[1]} of {place[0]} has {len(present)} values")
    values = {a.write.value for a in tried}
    strangers = [value for value in present if value not in values]
    sets.unexpected += len(strangers)
    findings += [_unexpected(kind, *place, value) for value in strangers]
    if not acknowledged:
        sets.recovered += len(present) - len(strangers)
        return
    last = {a.write.value for a in tried if a.outcome != "fail" and not _followed(a, acknowledged)}
    if not any(value in last for value in present):
        sets.lost += 1
        findings.append(_lost(kind, place, acknowledged[-1:], present))


def _followed(attempt: _Attempt, acknowledged: list[_Attempt]) -> bool:
    """Whether an acknowledged write began after this one had ended."""
    end = attempt.completed_ns
    if end is None or attempt.outcome == "info":
        return False
    return any(other.invoked_ns > end for other in acknowledged)


def _thing(kind: Kind, owner: str, key: str, value: Any) -> str:
    if kind in CREATED:
        return f"{kind} {value} ({key})"
    if kind in (Kind.REGISTERED, Kind.ALIAS):
        return f"{kind} {key} = {value} of {owner}"
    where = "run"
    if owner.startswith("m-") or owner.startswith("mlflow-bench-"):
        where = "model"
    short = value if value is None or len(value) <= 60 else value[:57] + "…"
    return f"{kind} {key} = {short} of {where} {owner}"


def _lost(kind: Kind, place: tuple[str, str], by: list[_Attempt], present: list[str]) -> str:
    last = by[-1]
    found = f"instead: {', '.join(present)[:80]}" if present else "nothing is there"
    return (
        f"lost: {_thing(kind, *place, last.write.value)}, acknowledged to user "
        f"{last.user} by {last.name} ({last.id}); {found}"
    )


def _unexpected(kind: Kind, owner: str, key: str, value: str) -> str:
    return f"unexpected: {_thing(kind, owner, key, value)} was never attempted"
