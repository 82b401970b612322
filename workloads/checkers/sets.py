"""The durability sets of one kind of thing after another, over all sources.

Things are compared in two ways:

- *written once* (runs, parameters, metric points, models, data sets): owner, key and value are
  the thing, and each acknowledged one has to be in every source;
- *overwritten* (tags, statuses, artifacts): owner and key are the thing, and its value has to be
  one that could be the last: of a write that no acknowledged one definitely followed.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from workloads.checkers.readings import Found
from workloads.checkers.timeline import Timeline
from workloads.history import Kind, Write
from workloads.result import KindSets

OVERWRITTEN = frozenset({Kind.TAG, Kind.STATUS, Kind.ARTIFACT, Kind.ALIAS})
CREATED = frozenset({Kind.RUN, Kind.MODEL, Kind.VERSION})

LATER = "later"
"""The outcome of what was acknowledged after a backup: it may be there or not, in each source."""


@dataclass
class Attempt:
    """A write with its owner, and the operation that wanted it."""

    write: Write
    id: str
    user: int
    name: str
    outcome: str
    invoked_ns: int
    completed_ns: int | None
    replica: str | None

    @property
    def acknowledged(self) -> bool:
        """Whether the server said that it was done."""
        return self.outcome == "ok"


class Comparison:
    """Grows by one place after another."""

    def __init__(self, timeline: Timeline, *, several: bool) -> None:
        self.kinds: dict[str, KindSets] = {}
        self.findings: list[str] = []
        self._timeline = timeline
        self._several = several

    def add(self, kind: Kind, place: tuple[str, str], tried: list[Attempt], found: Found) -> None:
        """Compare what was tried at a place (owner, key) with what each source has there."""
        sets = self.kinds.setdefault(kind.value, KindSets())
        if kind in OVERWRITTEN:
            self._overwritten(kind, place, tried, found, sets)
        else:
            self._written_once(kind, place, tried, found, sets)

    def add_strangers(self, kind: Kind, found: dict[tuple[str, str, str], list[str]]) -> None:
        """Count what is where nobody wrote: owner, key and value with its sources."""
        for (owner, key, value), names in found.items():
            sets = self.kinds.setdefault(kind.value, KindSets())
            sets.present += 1
            self._unexpected(kind, (owner, key), value, sorted(set(names)), sets)

    def _written_once(
        self,
        kind: Kind,
        place: tuple[str, str],
        tried: list[Attempt],
        found: Found,
        sets: KindSets,
    ) -> None:
        by_value: dict[str | None, list[Attempt]] = defaultdict(list)
        for attempt in tried:
            by_value[attempt.write.value].append(attempt)
        read = {name: values for name, values in found.items() if values is not None}
        present = sorted({value for values in read.values() for value in values})
        sets.attempted += len(by_value)
        sets.present += len(present)
        for value, attempts in by_value.items():
            acknowledged = [a for a in attempts if a.acknowledged]
            there = [name for name, values in read.items() if value in values]
            absent = [name for name in read if name not in there]
            sets.acknowledged += bool(acknowledged)
            if acknowledged and absent:
                sets.lost += 1
                sets.differing += bool(there)
                self._lost(kind, place, acknowledged[-1], there, {n: read[n] for n in absent})
            elif acknowledged and len(read) < max(1, len(found)):
                sets.unread += 1
            elif there and not acknowledged:
                sets.recovered += 1
                if not _later(attempts):
                    self._differs(kind, place, value, there, absent, sets)
        for value in present:
            copies = max(values.count(value) for values in read.values())
            sets.duplicates += copies - 1
            if copies > 1:
                self.findings.append(
                    f"duplicate: {_thing(kind, *place, value)} is there {copies} times"
                )
        strangers = [value for value in present if value not in by_value]
        if kind not in CREATED:
            for value in strangers:
                names = [name for name, values in read.items() if value in values]
                self._unexpected(kind, place, value, names, sets)
            return
        for value in strangers:
            there = [name for name, values in read.items() if value in values]
            self._differs(kind, place, value, there, [n for n in read if n not in there], sets)
        # One place, several ids: each beyond the one that was asked for is a double.
        if len(present) > 1:
            sets.duplicates += len(present) - 1
            self.findings.append(
                f"duplicate: {kind} {place[1]} was made {len(present)} times: {', '.join(present)}"
            )

    def _overwritten(
        self,
        kind: Kind,
        place: tuple[str, str],
        tried: list[Attempt],
        found: Found,
        sets: KindSets,
    ) -> None:
        acknowledged = [a for a in tried if a.acknowledged]
        read = {name: values for name, values in found.items() if values is not None}
        present = sorted({value for values in read.values() for value in values})
        sets.attempted += 1
        sets.acknowledged += bool(acknowledged)
        sets.present += len(present)
        copies = max((len(values) for values in read.values()), default=0)
        if copies > 1:
            sets.duplicates += copies - 1
            self.findings.append(f"duplicate: {kind} {place[1]} of {place[0]} has {copies} values")
        values = {a.write.value for a in tried}
        strangers = [value for value in present if value not in values]
        for value in strangers:
            names = [name for name, values_there in read.items() if value in values_there]
            self._unexpected(kind, place, value, names, sets)
        last = {
            a.write.value for a in tried if a.outcome != "fail" and not _followed(a, acknowledged)
        }
        absent = [name for name, there in read.items() if not last & set(there)]
        if not acknowledged:
            sets.recovered += len(present) > len(strangers)
        elif absent:
            there = [name for name in read if name not in absent]
            sets.lost += 1
            sets.differing += bool(there)
            self._lost(kind, place, acknowledged[-1], there, {n: read[n] for n in absent})
            return
        elif len(read) < max(1, len(found)):
            sets.unread += 1
        if len({tuple(sorted(there)) for there in read.values()}) > 1 and not _later(tried):
            sets.differing += 1
            each = ", ".join(f"{n} has {_short(read[n])}" for n in sorted(read))
            self.findings.append(f"differs: {kind} {place[1]} of {place[0]}: {each}")

    def _lost(
        self,
        kind: Kind,
        place: tuple[str, str],
        by: Attempt,
        there: list[str],
        absent: dict[str, list[str]],
    ) -> None:
        when = self._timeline.when(by.completed_ns or by.invoked_ns)
        replica = f"by {by.replica} " if by.replica else ""
        faults = self._timeline.faults_at(by.completed_ns or by.invoked_ns)
        instead = sorted({value for values in absent.values() for value in values})
        found = f"instead: {', '.join(instead)[:80]}" if instead else "nothing is there"
        if self._several:
            found += f": absent in {_names(list(absent))}"
            found += f", present in {_names(there)}" if there else ""
        self.findings.append(
            f"lost: {_thing(kind, *place, by.write.value)}, acknowledged {when} {replica}to user "
            f"{by.user} by {by.name} ({by.id}){', ' if faults else ''}{faults}; {found}"
        )

    def _differs(
        self,
        kind: Kind,
        place: tuple[str, str],
        value: str | None,
        there: list[str],
        absent: list[str],
        sets: KindSets,
    ) -> None:
        if there and absent:
            sets.differing += 1
            self.findings.append(
                f"differs: {_thing(kind, *place, value)}: present in {_names(there)}, absent in "
                f"{_names(absent)}"
            )

    def _unexpected(
        self, kind: Kind, place: tuple[str, str], value: str, names: list[str], sets: KindSets
    ) -> None:
        sets.unexpected += 1
        where = f"; found in {_names(names)}" if self._several else ""
        self.findings.append(
            f"unexpected: {_thing(kind, *place, value)} was never attempted{where}"
        )


def _later(attempts: list[Attempt]) -> bool:
    return all(attempt.outcome == LATER for attempt in attempts)


def _followed(attempt: Attempt, acknowledged: list[Attempt]) -> bool:
    """Whether an acknowledged write began after this one had ended."""
    end = attempt.completed_ns
    if end is None or attempt.outcome in ("info", LATER):
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


def _short(values: list[str]) -> str:
    return ", ".join(values)[:40] or "nothing"


def _names(names: list[str]) -> str:
    return ", ".join(sorted(names))
