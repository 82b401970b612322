"""A history as it is judged: 51 bytes an operation, whatever the operation was about."""

import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.history.history import Entries, Kind, Operation
from workloads.plan.plan import Plan, Stage

FIELDS = np.dtype(
    [
        ("name", "u2"),
        ("user", "u4"),
        ("invoked", "i8"),
        ("completed", "i8"),
        ("planned", "i8"),
        ("size", "i8"),
        ("ok", "?"),
        ("background", "?"),
        ("retried", "?"),
        ("queued", "?"),
        ("exporter", "?"),
        ("traces", "u4"),
        ("spans", "u4"),
    ]
)
"""A row of `Record.operations`: times in ns, -1 where there is none; `name` is an index; `queued`
says that every user was busy at the planned time, `exporter` that a client's exporter of traces
made it; `traces` and `spans` were acknowledged by it, a
trace by the first call that brought any of it."""

NEVER = -1
_CHUNK = 20_000

Rows = NDArray[np.void]


@dataclass(frozen=True)
class Window:
    """When a stage warmed up and when its figures were taken, in ns."""

    stage: Stage
    warm_up_ns: int
    begin_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """Length of the time that the figures cover."""
        return (self.end_ns - self.begin_ns) / 1e9


@dataclass
class Record:
    """A history as read.

    `names` holds the type (`call` or `step`) and name of each kind of operation; `errors` what
    was said of each failed or unknown operation, with its type and its begin in ns, the planned one
    where there is one; `wrong` what was said of each answer that was not the right one, whenever it
    came; `retries` how often the client sent a call again by what it had seen, most frequent first;
    `loading` is whether the last window goes on.
    """

    plan: Plan
    windows: list[Window]
    finished: bool
    names: list[tuple[str, str]]
    operations: Rows
    errors: list[tuple[int, str, str]]
    wrong: list[str] = field(default_factory=list)
    retries: dict[str, int] = field(default_factory=dict)
    other: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    loading: bool = False

    @property
    def interrupted(self) -> bool:
        """Whether a person ended the run."""
        return "interrupted" in self.other

    @property
    def ended_early(self) -> dict[str, Any] | None:
        """The line with which --fail-fast ended the load; None: it did not."""
        return next(iter(self.other.get("ended_early", [])), None)

    def within(self, window: Window) -> Rows:
        """Operations of this window: those that were planned in it, else those that began in it.

        A planned call that had to wait beyond the window belongs to it with all of its waiting.
        """
        planned = self.operations["planned"]
        due = np.where(planned == NEVER, self.operations["invoked"], planned)
        return self.operations[(due >= window.begin_ns) & (due < window.end_ns)]

    def answered(self, window: Window) -> Rows:
        """Operations that were answered well in this window, whenever they were planned.

        Those that nobody planned count by their begin, as their latency does: their users wait
        for each answer, so that no backlog grows.
        """
        rows: Rows = self.operations[self.operations["ok"]]
        at = np.where(rows["planned"] == NEVER, rows["invoked"], rows["completed"])
        answered: Rows = rows[(at >= window.begin_ns) & (at < window.end_ns)]
        return answered

    def dropped(self, window: Window) -> int:
        """Calls that were planned in this window and never begun, as every user stayed busy."""
        lines = self.other.get("unserved", [])
        return sum(
            window.begin_ns <= planned < window.end_ns
            for line in lines
            for planned in line["planned_ns"]
        )

    def of_type(self, rows: Rows, type_: str) -> Rows:
        """Of these operations, the calls or the steps."""
        kinds = np.array([known == type_ for known, _ in self.names], dtype=bool)
        return rows[kinds[rows["name"]]] if len(rows) else rows

    def by_name(self, rows: Rows) -> Iterator[tuple[str, str, Rows]]:
        """Yield type, name and rows of each kind of operation among these."""
        for index in np.unique(rows["name"]):
            yield *self.names[index], rows[rows["name"] == index]

    def lines(self, type_: str, window: Window) -> list[dict[str, Any]]:
        """Return the other lines of this type that were written in this window."""
        known = self.other.get(type_, [])
        return [line for line in known if window.begin_ns <= line["mono_ns"] < window.end_ns]


def durations_ms(rows: Rows) -> NDArray[np.float64]:
    """Milliseconds from begin to end of operations that ended."""
    return (rows["completed"] - rows["invoked"]) / 1e6  # type: ignore[no-any-return]


def load(path: Path) -> Record:
    """Read a history; raises `CannotRunError` as `history.entries` does."""
    reader = Reader(path)
    try:
        return reader.read(whole=True)
    finally:
        reader.close()


class Reader:
    """Reads a history on as it grows: each line once. Raises as `history.Entries` does."""

    def __init__(self, path: Path) -> None:
        self._entries = Entries(path)
        self._plan: Plan | None = None
        self._names: dict[tuple[str, str], int] = {}
        self._table = _Table()
        self._errors: list[tuple[int, str, str]] = []
        self._wrong: list[str] = []
        self._retries: Counter[str] = Counter()
        self._phases: list[dict[str, Any]] = []
        self._other: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._last_ns = 0

    def read(self, *, whole: bool = False) -> Record:
        """Return the record so far; what has not ended is in it only if that is the `whole`."""
        for entry in self._entries.new():
            self._take(entry)
        if whole and "interrupted" not in self._other:  # by a person: then they did not fail
            for operation in self._entries.under_way.values():
                self._take(operation)
        assert self._plan  # entries raise when there is none
        return Record(
            plan=self._plan,
            windows=list(_windows(self._phases, self._last_ns)),
            finished=any(line["phase"] == "finish" for line in self._phases),
            names=list(self._names),
            operations=self._table.rows(),
            errors=self._errors,
            wrong=self._wrong,
            retries=dict(self._retries.most_common()),
            other=dict(self._other),
            loading=bool(self._phases) and self._phases[-1]["phase"] == "load",
        )

    def close(self) -> None:
        """Close the file."""
        self._entries.close()

    def _take(self, entry: Plan | Operation | dict[str, Any]) -> None:
        if isinstance(entry, Plan):
            self._plan = entry
        elif isinstance(entry, Operation):
            self._last_ns = max(self._last_ns, entry.completed_ns or entry.invoked_ns)
            if entry.wrong:
                self._wrong.append(f"{entry.name}: {entry.error}")
            if entry.type == "probe":  # no user waited for it: it is in no figure of the load
                return
            key = (entry.type, entry.name)
            self._table.add(entry, self._names.setdefault(key, len(self._names)))
            if entry.outcome != "ok":
                said = f"{entry.name}: {entry.error or 'ended without an answer'}"
                due_ns = entry.invoked_ns if entry.planned_ns is None else entry.planned_ns
                self._errors.append((due_ns, entry.type, sys.intern(said)))
            self._retries.update(entry.retries)
        elif entry["type"] == "phase":
            self._phases.append(entry)
        else:
            self._other[entry["type"]].append(entry)


class _Table:
    """Rows that grow in chunks."""

    def __init__(self) -> None:
        self._chunks: list[Rows] = []
        self._rows: list[tuple[Any, ...]] = []
        self._traces: set[str] = set()

    def add(self, operation: Operation, name: int) -> None:
        self._rows.append(
            (
                name,
                operation.user,
                operation.invoked_ns,
                NEVER if operation.completed_ns is None else operation.completed_ns,
                NEVER if operation.planned_ns is None else operation.planned_ns,
                NEVER if operation.size is None else operation.size,
                operation.outcome == "ok",
                operation.background,
                bool(operation.retries),
                operation.queued,
                operation.exporter,
                *self._traced(operation),
            )
        )
        if len(self._rows) >= _CHUNK:
            self._pack()

    def _traced(self, operation: Operation) -> tuple[int, int]:
        """Return the traces and spans that an operation brought."""
        if operation.outcome != "ok":
            return 0, 0
        traces = {write.key for write in operation.writes if write.kind is Kind.TRACE}
        new = traces - self._traces
        self._traces |= new
        return len(new), sum(write.kind is Kind.SPAN for write in operation.writes)

    def rows(self) -> Rows:
        """All rows, in the order in which they began."""
        self._pack()
        rows: Rows = np.concatenate(self._chunks)
        self._chunks = [rows]
        return rows[np.argsort(rows["invoked"], kind="stable")]

    def _pack(self) -> None:
        self._chunks.append(np.array(self._rows, dtype=FIELDS))
        self._rows = []


def _windows(phases: list[dict[str, Any]], last_ns: int) -> Iterator[Window]:
    """Yield a window for each load phase; one that was cut short ends with the record."""
    stage, warm_up_ns = None, 0
    for line, following in zip_longest(phases, phases[1:]):
        if line["phase"] == "warm-up":
            stage, warm_up_ns = Stage.model_validate(line["stage"]), line["mono_ns"]
        elif line["phase"] == "load" and stage:
            begin = line["mono_ns"]
            end = following["mono_ns"] if following else max(begin, last_ns)
            yield Window(stage, warm_up_ns, begin, end)
