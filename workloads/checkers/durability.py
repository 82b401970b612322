"""Is everything that was acknowledged still there, in every place that holds it?

Sets per kind, after Jepsen's `set` checker: attempted, acknowledged, present, lost (acknowledged
and absent from a source that was read), recovered (not acknowledged and present), unexpected
(present and never attempted), duplicates, differing (there in one source and not, or otherwise,
in another), and unread. What `workloads.checkers.sets` compares, this divides and puts together.
"""

import json
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from workloads.checkers import sets
from workloads.checkers.readings import Readings, checked, load
from workloads.checkers.sets import CREATED, LATER, Attempt
from workloads.checkers.timeline import Timeline
from workloads.history import Kind, Operation, Write, entries, lines
from workloads.plan import Plan
from workloads.result import Durability, DurabilityVerdict, KindSets

PART_BYTES = 32 * 2**20
"""Size of history and read-back that is compared at once: owners are spread over as many parts as
that makes, so that memory does not grow with the length of a run."""

MOST_FINDINGS = 1000

TOKENED = frozenset({Kind.RUN, Kind.VERSION})
"""Created under a key of their own, so that what has the same key is the same thing again."""


def judge(history: Path, readback: Path, until_ns: int | None = None) -> Durability:
    """Compare what a run attempted with what was read; a missing file reads as nothing.

    With `until_ns`, of the Unix clock, what was acknowledged later may be there or not, as in a
    backup that was taken then; an artifact may also be there without its run. Raises
    `CannotRunError` if a file is damaged.
    """
    made = load(readback, CREATED)
    timeline = Timeline()
    size = sum(path.stat().st_size for path in (history, readback) if path.exists())
    number = 1 + size // PART_BYTES
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as folder:
        attempted = [Path(folder) / f"attempted-{part}" for part in range(number)]
        read = [Path(folder) / f"read-{part}" for part in range(number)]
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("w")) for path in attempted]
            for attempt in _attempts(_operations(history, timeline, until_ns), made):
                write = attempt.write
                fields = vars(attempt) | {
                    "write": [write.kind, write.owner, write.key, write.value]
                }
                place = files[_part(write.kind, write.owner or "", write.key, number)]
                place.write(json.dumps(fields) + "\n")
        with ExitStack() as stack:
            _divide(readback, [stack.enter_context(path.open("w")) for path in read])
        parts = [
            _check(_saved(tried), load(found), timeline)
            for tried, found in zip(attempted, read, strict=True)
        ]
    return _merged(parts)


def check(
    attempted: Iterable[Operation], read: Readings, timeline: Timeline | None = None
) -> Durability:
    """Compare what was attempted with what was read, all in memory."""
    return _merged([_check(_attempts(attempted, read), read, timeline or Timeline())])


def _operations(history: Path, timeline: Timeline, until_ns: int | None) -> Iterator[Operation]:
    """Yield the operations; what else the history says goes to the timeline first."""
    first = next(lines(history), None)
    if first:
        timeline.note(first)
    for entry in entries(history):
        if isinstance(entry, Operation):
            ended = entry.completed_ns
            if until_ns is not None and ended is not None and timeline.wall_ns(ended) > until_ns:
                entry.outcome = LATER
            yield entry
        elif not isinstance(entry, Plan):
            timeline.note(entry)


def _attempts(attempted: Iterable[Operation], read: Readings) -> Iterator[Attempt]:
    """Every write with its owner; one whose owner nobody knows has no place to be looked for."""
    for operation in attempted:
        made = operation.created
        doubles: list[str] = []
        for write in operation.writes:
            if write.kind in CREATED:
                there = read.anywhere(write.kind, write.owner or "", write.key)
                made = made or (there[0] if len(there) == 1 else None)
                if write.kind in TOKENED and write.key:
                    doubles = [identity for identity in there if identity != made]
                yield _attempt(operation, write.owner, write, made)
                continue
            owner = write.owner or made
            if owner is not None:
                yield _attempt(operation, owner, write, write.value)
            if write.owner is None:
                # A double has what came with it, though nobody was told.
                unanswered = replace(operation, outcome="info")
                for double in doubles:
                    yield _attempt(unanswered, double, write, write.value)


def _attempt(operation: Operation, owner: str | None, write: Write, value: str | None) -> Attempt:
    return Attempt(
        write=Write(write.kind, owner, write.key, value),
        id=operation.id,
        user=operation.user,
        name=operation.name,
        outcome=operation.outcome,
        invoked_ns=operation.invoked_ns,
        completed_ns=operation.completed_ns,
        replica=operation.replica,
    )


def _part(kind: Kind, owner: str, key: str, number: int) -> int:
    """Part of a place: all of an owner is in one, as is all that is made under one key."""
    return zlib.crc32((key if kind in CREATED else owner).encode()) % number


def _divide(readback: Path, files: list[TextIO]) -> None:
    """Put each line of a read-back file into the files of its parts."""
    number = len(files)
    for line in checked(readback):
        text = json.dumps(line) + "\n"
        kind = line.get("kind")
        if kind is None or line["error"]:
            for file in files:
                file.write(text)
        elif kind in CREATED:
            # That it was read is to be known for what was created in every part.
            for part, file in enumerate(files):
                own = {
                    name: {
                        key: value
                        for key, value in line[name].items()
                        if _part(Kind(kind), line["owner"], key, number) == part
                    }
                    for name in ("items", "unread")
                }
                file.write(json.dumps(line | own) + "\n")
        else:
            files[_part(Kind(kind), line["owner"], "", number)].write(text)


def _saved(path: Path) -> Iterator[Attempt]:
    for line in lines(path):
        kind, owner, key, value = line.pop("write")
        yield Attempt(write=Write(Kind(kind), owner, key, value), **line)


def _check(attempted: Iterable[Attempt], read: Readings, timeline: Timeline) -> Durability:
    attempts: dict[Kind, dict[tuple[str, str], list[Attempt]]] = {kind: {} for kind in Kind}
    for attempt in attempted:
        write = attempt.write
        place = (write.owner or "", write.key)
        attempts[write.kind].setdefault(place, []).append(attempt)
    comparison = sets.Comparison(timeline, several=len(read.sources) > 1)
    for kind in Kind:
        for place, tried in attempts[kind].items():
            comparison.add(kind, place, tried, read.found(kind, *place))
        comparison.add_strangers(kind, _strangers(kind, attempts[kind], read))
    return Durability(
        verdict=_verdict(comparison.kinds),
        kinds=comparison.kinds,
        findings=comparison.findings,
        read_errors=read.errors,
        sources=sorted(name for name, source in read.sources.items() if not source.failed),
        not_read=read.not_done,
    )


def _strangers(
    kind: Kind, attempted: dict[tuple[str, str], list[Attempt]], read: Readings
) -> dict[tuple[str, str, str], list[str]]:
    """Return what nobody attempted at a place that was never written to, with its sources."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, source in read.sources.items():
        for (found_kind, owner), items in source.items.items():
            if found_kind is not kind:
                continue
            for key, values in items.items():
                if (owner, key) not in attempted:
                    for value in values:
                        found.setdefault((owner, key, value), []).append(name)
    return found


def _merged(parts: list[Durability]) -> Durability:
    kinds: dict[str, KindSets] = {}
    for kind in Kind:
        found = [part.kinds[kind.value] for part in parts if kind.value in part.kinds]
        if found:
            sums = {name: sum(getattr(s, name) for s in found) for name in KindSets.model_fields}
            kinds[kind.value] = KindSets(**sums)
    return Durability(
        verdict=_verdict(kinds),
        kinds=kinds,
        findings=_first([finding for part in parts for finding in part.findings]),
        read_errors=_first(_once(part.read_errors for part in parts)),
        sources=sorted(_once(part.sources for part in parts)),
        not_read=_once(part.not_read for part in parts),
    )


def _once(said: Iterable[list[str]]) -> list[str]:
    return list(dict.fromkeys(one for part in said for one in part))


def _first(said: list[str]) -> list[str]:
    more = len(said) - MOST_FINDINGS
    return [*said[:MOST_FINDINGS], f"… and {more} more"] if more > 0 else said


def _verdict(kinds: dict[str, Any]) -> DurabilityVerdict:
    if any(k.lost or k.unexpected or k.duplicates or k.differing for k in kinds.values()):
        return DurabilityVerdict.FAIL
    if any(k.unread for k in kinds.values()) or not any(k.acknowledged for k in kinds.values()):
        return DurabilityVerdict.UNKNOWN
    return DurabilityVerdict.PASS
