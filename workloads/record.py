"""A history as it is judged: 46 bytes an operation, whatever the operation was about."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.history import Operation, entries
from workloads.plan import Plan, Stage

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
    ]
)
"""A row of `Record.operations`: times in ns, -1 where there is none; `name` is an index; `queued`
says that every user was busy at the planned time."""

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
    was said of each failed or unknown operation, with its begin in ns and its type.
    """

    plan: Plan
    windows: list[Window]
    finished: bool
    names: list[tuple[str, str]]
    operations: Rows
    errors: list[tuple[int, str, str]]
    other: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def interrupted(self) -> bool:
        """Whether a person ended the run."""
        return "interrupted" in self.other

    def within(self, window: Window) -> Rows:
        """Operations of this window: those that were planned in it, else those that began in it.

        A planned call that had to wait beyond the window belongs to it with all of its waiting.
        """
        planned = self.operations["planned"]
        due = np.where(planned == NEVER, self.operations["invoked"], planned)
        return self.operations[(due >= window.begin_ns) & (due < window.end_ns)]

    def unserved(self, window: Window) -> int:
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
    plan: Plan | None = None
    names: dict[tuple[str, str], int] = {}
    table = _Table()
    errors: list[tuple[int, str, str]] = []
    phases: list[dict[str, Any]] = []
    other: dict[str, list[dict[str, Any]]] = defaultdict(list)
    last_ns = 0
    for entry in entries(path):
        if isinstance(entry, Plan):
            plan = entry
        elif isinstance(entry, Operation):
            table.add(entry, names.setdefault((entry.type, entry.name), len(names)))
            last_ns = max(last_ns, entry.completed_ns or entry.invoked_ns)
            if entry.outcome != "ok":
                said = f"{entry.name}: {entry.error or 'ended without an answer'}"
                errors.append((entry.invoked_ns, entry.type, sys.intern(said)))
        elif entry["type"] == "phase":
            phases.append(entry)
        else:
            other[entry["type"]].append(entry)
    assert plan  # entries() raises when there is none
    return Record(
        plan=plan,
        windows=list(_windows(phases, last_ns)),
        finished=any(line["phase"] == "finish" for line in phases),
        names=list(names),
        operations=table.rows(),
        errors=errors,
        other=dict(other),
    )


class _Table:
    """Rows that grow in chunks."""

    def __init__(self) -> None:
        self._chunks: list[Rows] = []
        self._rows: list[tuple[Any, ...]] = []

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
            )
        )
        if len(self._rows) >= _CHUNK:
            self._pack()

    def rows(self) -> Rows:
        """All rows, in the order in which they began."""
        self._pack()
        rows: Rows = np.concatenate(self._chunks)
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
