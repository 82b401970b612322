"""The history of a run: append-only JSON lines, written as things happen.

Line types: `plan` (first), `phase`, `invoke`, then one of `ok`, `fail`, `info` for each invoke,
`sample` (generator health, and what clients have not sent of traces, about once a second), `server`
(its processes, before and after), `observe` (the system under test, about once a second), `machine`
(the node of a pod that loads, likewise), `probe` (what was asked beside the load on one path, a
line a second), `ceiling`, `priority` (the nice value of a generator process while a call is under
way), `unserved` (planned turns that nobody began), `dropped_by_client` (traces and spans that a
client threw away before it sent them: `workloads.load.exports`), `user_ended`, `fault` (its name,
component and state),
`ended_early` (by --fail-fast, and why), `reconciled` (a double that was removed), `interrupted`. An
operation's kind is `call`, `step` (several calls), or `probe` (a write beside the load, which no
user waited for). `info` means that nobody knows whether the operation took place; an invoke without
completion means the same (the naming is Jepsen's).

Times: `mono_ns` is the system-wide monotonic clock and `wall_ns` the Unix clock, in nanoseconds.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from workloads import CannotRunError, error_summary
from workloads.plan.plan import SCHEMA_VERSION, Plan

HISTORY = "history.jsonl"
"""Its name in the folder of a run."""

DROPPED = "dropped_by_client"
"""Type of the lines of what clients threw away."""


class Kind(StrEnum):
    """Kinds of things that a tracking server has to keep."""

    RUN = "run"
    STATUS = "status"
    FIELD = "field"
    PARAM = "param"
    METRIC = "metric point"
    LATEST = "latest metric"
    TAG = "tag"
    DATASET = "dataset input"
    MODEL = "logged model"
    MODEL_METRIC = "model metric"
    OUTPUT = "model output"
    ARTIFACT = "artifact"
    REGISTERED = "registered model"
    VERSION = "model version"
    ALIAS = "model alias"
    TRACE = "trace"
    SPAN = "span"
    LINK = "trace link"
    ASSESSMENT = "assessment"
    EVALUATION_DATASET = "evaluation dataset"
    RECORD = "evaluation record"
    DELETION = "deletion"


@dataclass(frozen=True)
class Write:
    """One thing that an operation wants kept.

    `owner` is the id of a run, model, model version, trace or experiment; None stands for the thing
    that this very operation creates. `value` is None where the server chooses it (ids), and where
    what is there is to go. Metric points have `[step, timestamp in ms, value]` as JSON, artifacts
    their SHA-256, spans what `workloads.history.spans` makes of them. A deletion takes its owner
    away, with all that belongs to it, and all whose id is below its own, as `churn/3` is below
    `churn`.
    """

    kind: Kind
    owner: str | None
    key: str
    value: str | None


@dataclass
class Operation:
    """An invoke line with what became of it; times in ns of the monotonic clock.

    `planned_ns` is when an open load's schedule wanted it to begin, `queued` says that then every
    user was busy; `size` is the bytes that it moves; `replica` is the one that answered, where a
    load balancer said so; `wrong` says that an answer was not the right one. None where they do not
    apply. `exporter` says that a client's exporter of traces made it, for which no user waits.
    `not_audited` names what it changed that no audit looks at; `saw` holds what its answer
    showed, as `workloads.history.sightings` packs it.
    """

    id: str
    user: int
    type: str
    name: str
    step: str | None
    background: bool
    invoked_ns: int
    writes: list[Write]
    planned_ns: int | None = None
    queued: bool = False
    exporter: bool = False
    size: int | None = None
    outcome: str = "info"
    completed_ns: int | None = None
    status: int | None = None
    retries: list[str] = field(default_factory=list)
    error: str | None = None
    created: str | None = None
    replica: str | None = None
    wrong: bool = False
    not_audited: list[str] = field(default_factory=list)
    saw: list[list[Any]] = field(default_factory=list)

    @property
    def duration_ms(self) -> float | None:
        """Milliseconds from invoke to completion; None if it never completed."""
        return None if self.completed_ns is None else (self.completed_ns - self.invoked_ns) / 1e6


class Appender:
    """Writes JSON lines, each with one `write` to a file opened for appending.

    So several processes may share the file, and a killed one loses nothing that it wrote.
    """

    _encode = json.JSONEncoder(separators=(",", ":")).encode

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def append(self, line: dict[str, Any]) -> None:
        """Add one line; it is with the operating system when this returns."""
        os.write(self._file, self._encode(line).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class History(Appender):
    """The writer of a history."""

    def event(self, type_: str, at_ns: int | None = None, **fields: Any) -> int:
        """Append a line of this type with both clocks; returns `mono_ns`.

        `at_ns` is when it was, by the monotonic clock; None: now.
        """
        now, wall = time.monotonic_ns(), time.time_ns()
        at_ns = now if at_ns is None else at_ns
        self.append({"type": type_, "mono_ns": at_ns, "wall_ns": wall - now + at_ns, **fields})
        return at_ns

    def invoke(
        self,
        op: str,
        user: int,
        kind: str,
        name: str,
        *,
        step: str | None = None,
        background: bool = False,
        writes: list[Write] | None = None,
        planned_ns: int | None = None,
        queued: bool = False,
        exporter: bool = False,
        size: int | None = None,
        not_audited: list[str] | None = None,
    ) -> int:
        """Say that operation `op` is about to be sent; returns `mono_ns`."""
        return self.event(
            "invoke",
            None,
            op=op,
            user=user,
            kind=kind,
            name=name,
            step=step,
            background=background,
            writes=[[w.kind.value, w.owner, w.key, w.value] for w in writes or []],
            **({} if planned_ns is None else {"planned_ns": planned_ns, "queued": queued}),
            **({"exporter": True} if exporter else {}),
            **({} if size is None else {"size": size}),
            **({"not_audited": not_audited} if not_audited else {}),
        )

    def complete(self, outcome: str, op: str, at_ns: int | None = None, **fields: Any) -> int:
        """Say what became of `op`: `ok`, `fail` or `info`; returns `mono_ns`, as `event` does."""
        return self.event(outcome, at_ns, op=op, **fields)


class Tail:
    """A JSON-lines file that is read on as it grows."""

    def __init__(self, path: Path) -> None:
        """Open the file; raises `CannotRunError` if it is missing."""
        self._path = path
        self._number = 0
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise CannotRunError(
                f"{path}: {error.strerror}; is this the folder of a run?"
            ) from None

    def new(self) -> Iterator[dict[str, Any]]:
        """Yield the lines that were added; a last one that is not whole is left for later.

        Raises `CannotRunError` if the file is damaged anywhere else.
        """
        for raw in self._file:
            if not raw.endswith(b"\n"):
                self._file.seek(-len(raw), os.SEEK_CUR)
                return
            self._number += 1
            where = f"{self._path}: line {self._number}"
            try:
                line = json.loads(raw)
            except ValueError:
                raise CannotRunError(f"{where} is not JSON; restore it") from None
            if not isinstance(line, dict):
                raise CannotRunError(f"{where} is not an object; restore it")
            yield line

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a JSON-lines file; a torn last line is left out.

    Raises `CannotRunError` if the file is missing or damaged anywhere else.
    """
    tail = Tail(path)
    try:
        yield from tail.new()
    finally:
        tail.close()


class Entries:
    """What a history holds, read on as it grows. Raises as `Tail` does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tail = Tail(path)
        self._number = 0
        self.under_way: dict[str, Operation] = {}
        """Operations that have not ended, by id; only these are kept in memory."""

    def new(self) -> Iterator[Plan | Operation | dict[str, Any]]:
        """Yield what was added: the plan, operations as they end, every other line.

        Raises `CannotRunError` if the file is damaged, or does not begin with a plan.
        """
        for line in self._tail.new():
            self._number += 1
            try:
                type_ = line["type"]
                if (type_ == "plan") is not (self._number == 1):
                    where = f"{self._path}: line {self._number}"
                    raise CannotRunError(f"{where}: a history begins with its one plan")
                match type_:
                    case "plan":
                        yield _plan(self._path, line["plan"])
                    case "invoke":
                        self.under_way[line["op"]] = _operation(line)
                    case "ok" | "fail" | "info":
                        yield _completed(self.under_way.pop(line["op"]), line)
                    case _:
                        yield line
            except (KeyError, TypeError, ValueError) as error:
                raise CannotRunError(
                    f"{self._path}: line {self._number} does not fit "
                    f"({error_summary(error)}); restore it"
                ) from None
        if not self._number:
            raise CannotRunError(f"{self._path}: has no plan line; the run ended before it began")

    def close(self) -> None:
        """Close the file."""
        self._tail.close()


def entries(path: Path) -> Iterator[Plan | Operation | dict[str, Any]]:
    """Yield what a history holds; operations that never ended come last. Raises as `Entries`."""
    reader = Entries(path)
    try:
        yield from reader.new()
        yield from reader.under_way.values()
    finally:
        reader.close()


def operations(path: Path) -> Iterator[Operation]:
    """Yield the operations of a history in the order in which they ended; raises as `entries`."""
    return (entry for entry in entries(path) if isinstance(entry, Operation))


def _plan(path: Path, fields: dict[str, Any]) -> Plan:
    if (version := fields["schema_version"]) != SCHEMA_VERSION:
        raise CannotRunError(
            f"{path}: has format {version}, this version reads {SCHEMA_VERSION}; run it again"
        )
    return Plan.model_validate(fields)


def _operation(line: dict[str, Any]) -> Operation:
    return Operation(
        id=line["op"],
        user=line["user"],
        type=line["kind"],
        name=line["name"],
        step=line["step"],
        background=line["background"],
        invoked_ns=line["mono_ns"],
        writes=[Write(Kind(k), owner, key, value) for k, owner, key, value in line["writes"]],
        planned_ns=line.get("planned_ns"),
        queued=line.get("queued", False),
        exporter=line.get("exporter", False),
        size=line.get("size"),
        not_audited=line.get("not_audited") or [],
    )


def _completed(operation: Operation, line: dict[str, Any]) -> Operation:
    operation.outcome = line["type"]
    operation.completed_ns = line["mono_ns"]
    operation.status = line.get("status")
    operation.retries = line.get("retries") or []
    operation.error = line.get("error")
    operation.created = line.get("created")
    operation.replica = line.get("replica")
    operation.wrong = line.get("wrong", False)
    operation.saw = line.get("saw") or []
    return operation
