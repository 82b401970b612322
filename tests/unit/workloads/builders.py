"""Small records written by hand, for tests."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.outputs import (
    ArtifactStore,
    BackendStore,
    Component,
    Platform,
    Target,
    ZoneNetwork,
)
from workloads.checkers import durability
from workloads.history.history import HISTORY, Kind, Operation, Write
from workloads.history.tables import opened
from workloads.plan.plan import Load, Objectives, Plan, Profile, Stage
from workloads.readback.lines import READ
from workloads.verdict.result import Durability, FaultFigures

MS = 1_000_000
S = 1_000_000_000
POINT = "[0, 1, 0.5]"


def target(uri: str = "http://127.0.0.1:1", **changes: Any) -> Target:
    fields: dict[str, Any] = {
        "stack": "local",
        "platform": Platform.DOCKER,
        "tracking_uri": uri,
        "mlflow_version": "3.17.2",
        "artifacts": "volume",
        "replicas": 1,
        "components": (
            Component(name="mlflow", kind="mlflow", container="bench-mlflow", image="sha256:12ab"),
        ),
        "zones": (ZoneNetwork(name="a", network="bench-network-a"),),
        "backend_store": BackendStore(
            host="127.0.0.1", port=15000, database="mlflow", user="mlflow"
        ),
        "artifact_store": ArtifactStore(uri="/var/lib/mlflow/artifacts", volume="bench-artifacts"),
    }
    return Target(**fields | changes)


def plan(**changes: Any) -> Plan:
    fields: dict[str, Any] = {
        "scenario": "training",
        "profile_name": "quick",
        "profile": Profile(users=2, warm_up_s=2, load_s=10, finish_s=5),
        "objectives": Objectives(error_rate=0, p95_ms=100, min_rate=5),
        "seed": 1,
        "subject": "local",
        "tracking_uri": "http://127.0.0.1:1",
        "target": target(),
        "processes": 2,
        "computes": True,
        "experiment_id": "1",
        "started": "2026-01-02T03:04:05+00:00",
        "environment": {"Python": "3.11"},
    }
    return Plan(**fields | changes)


def stage(**changes: Any) -> Stage:
    """A closed stage of two users, unless told otherwise."""
    fields: dict[str, Any] = {"name": "2 users", "users": 2, "warm_up_s": 2, "load_s": 10}
    return Stage(**fields | changes)


_numbers = iter(range(10**9))


def operation(*writes: Write, outcome: str = "ok", **changes: Any) -> Operation:
    """A call at 0 s that took 10 ms, unless told otherwise."""
    number = next(_numbers)
    fields: dict[str, Any] = {
        "id": f"0.{number}",
        "user": 0,
        "type": "call",
        "name": "POST runs/log-batch",
        "step": None,
        "background": False,
        "invoked_ns": 0,
        "completed_ns": 10 * MS,
        "writes": list(writes),
        "outcome": outcome,
    }
    return Operation(**fields | changes)


def write(kind: Kind, owner: str | None, key: str, value: str | None) -> Write:
    return Write(kind, owner, key, value)


def fault(name: str = "replica-kill", **changes: Any) -> dict[str, Any]:
    """A fault that nobody noticed for long, unless told otherwise."""
    known: dict[str, Any] = {
        "fault": name,
        "component": "some-1",
        "injected_s": 8,
        "in_effect_s": 0.1,
        "healed_s": 4,
        "observed_s": 16,
        "recovered_s": 5,
        "recovery_time_s": 1,
        "recovery_time_limit_s": 10,
        "outage_s": 0.8,
        "outage_limit_s": 1,
        "longest_probe_s": 1,
        "failed_probes": 3,
        "calls": 401,
        "failed": 0,
        "error_rate_limit": 0.1,
        "succeeded_after_retry": 2,
        "client_errors": {},
    }
    return FaultFigures.model_validate(known | changes).model_dump()


@dataclass
class ReadBack:
    """What one source holds: `items[kind, owner][key]` is a list of values."""

    items: dict[tuple[Kind, str], dict[str, list[str]]] = field(default_factory=dict)
    unread: set[tuple[Kind, str, str]] = field(default_factory=set)
    holds: frozenset[Kind] = READ - {Kind.LATEST}
    of_some: frozenset[Kind] = frozenset()
    unreadable: frozenset[tuple[Kind, str]] = frozenset()
    error: str | None = None

    def lines(self, source: str) -> Iterator[dict[str, Any]]:
        begin = {"source": source, "holds": sorted(self.holds), "of_some": sorted(self.of_some)}
        yield begin | ({"error": self.error} if self.error else {})
        for (kind, owner), items in self.items.items():
            unread = {key: "no answer" for k, o, key in self.unread if (k, o) == (kind, owner)}
            error = "no answer" if (kind, owner) in self.unreadable else None
            place = {"source": source, "kind": kind, "owner": owner, "error": error}
            yield place | {"items": items, "unread": unread}


def durability_of(folder: Path, until_ns: int | None = None) -> Durability:
    """Judge what a folder's files say of what was kept."""
    with opened(folder / HISTORY, folder / "readback.jsonl") as tables:
        return durability.judge(tables, until_ns)


class Folder:
    """Writes the files of a run, line by line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        self.read: list[dict[str, Any]] = []
        self._count = 0

    def event(self, type_: str, at_s: float, **fields: Any) -> None:
        ns = int(at_s * S)
        self.lines.append({"type": type_, "mono_ns": ns, "wall_ns": ns, **fields})

    def call(
        self,
        at_s: float,
        ms: float = 20,
        name: str = "POST runs/log-batch",
        kind: str = "call",
        outcome: str | None = "ok",
        writes: list[list[str | None]] | None = None,
        background: bool = False,
        planned_ns: int | None = None,
        queued: bool = False,
        exporter: bool = False,
        size: int | None = None,
        not_audited: list[str] | None = None,
        **ended: Any,
    ) -> None:
        self._count += 1
        op = f"0.{self._count}"
        self.event(
            "invoke",
            at_s,
            op=op,
            user=0,
            kind=kind,
            name=name,
            step=None,
            background=background,
            writes=writes or [],
            planned_ns=planned_ns,
            queued=queued,
            exporter=exporter,
            size=size,
            not_audited=not_audited,
        )
        if outcome:
            self.event(outcome, at_s + ms / 1000, op=op, **ended)

    def operation(self, made: Operation) -> None:
        """Write an operation; one of unknown end has no line for it."""
        self.event(
            "invoke",
            made.invoked_ns / S,
            op=made.id,
            user=made.user,
            kind=made.type,
            name=made.name,
            step=made.step,
            background=made.background,
            writes=[[w.kind, w.owner, w.key, w.value] for w in made.writes],
            not_audited=made.not_audited,
        )
        if made.completed_ns is not None or made.outcome != "info":
            at_ns = made.invoked_ns if made.completed_ns is None else made.completed_ns
            ended = {"created": made.created, "replica": made.replica}
            self.event(made.outcome, at_ns / S, op=made.id, **ended)

    def good_run(self, calls: int = 500, ms: float = 20) -> "Folder":
        """Warm-up from 100 s, load from 102 s to 112 s, everything read back."""
        self.event("plan", 99, plan=plan().model_dump(mode="json"))
        self.event("server", 99, processes={"bench-mlflow": [10, 11]})
        known = stage().model_dump(mode="json")
        self.event("phase", 100, phase="warm-up", stage=known)
        self.call(101, ms=900)
        self.event("phase", 102, phase="load", stage=known)
        for number in range(calls):
            at = 102 + 10 * number / calls
            self.call(at, ms=ms + number % 7, name=("GET runs/get", "POST runs/update")[number % 2])
        for number in range(4):
            self.call(102 + number, ms=700, name="curves", kind="step")
        self.call(
            103,
            name="POST runs/create",
            created="r1",
            writes=[["run", "1", "token-1", None], ["tag", None, "team", "a"]],
        )
        self.call(
            104, writes=[["param", "r1", "depth", "6"], ["metric point", "r1", "loss", POINT]]
        )
        for second in range(10):
            for user in (0, 1):
                self.event(
                    "sample",
                    102.5 + second,
                    process=user,
                    span_s=1.0,
                    cpu_s=0.9,
                    call_cpu_s=0.1,
                    lag_ms=[1.0] * 50,
                )
        self.event("phase", 112, phase="finish")
        self.event("server", 113, processes={"bench-mlflow": [10, 11]})
        self.place("run", "1", {"token-1": ["r1"]})
        self.place("tag", "r1", {"team": ["a"]})
        self.place("param", "r1", {"depth": ["6"]})
        self.place("metric point", "r1", {"loss": [POINT]})
        return self

    def api_run(self, *stages: Stage, calls: int = 600, ms: float = 20) -> "Folder":
        """Users that do not compute, one write at the end.

        Stage n, counted from 0, warms up at (n + 1) * 100 s and is measured from 2 s later on;
        calls are evenly spread, and begin when they were planned where the stage is open.
        """
        made = plan(computes=False, processes=1, scenario="metrics")
        self.event("plan", 99, plan=made.model_dump(mode="json"))
        self.event("ceiling", 99, rate=2000.0)
        self.event("server", 99, processes={"bench-mlflow": [10, 11]})
        for number, one in enumerate(stages):
            begin = 100 * (number + 1) + 2
            known = one.model_dump(mode="json")
            self.event("phase", begin - 2, phase="warm-up", stage=known)
            self.event("phase", begin, phase="load", stage=known)
            for call in range(calls):
                at = begin + one.load_s * call / calls
                planned = None if one.load is Load.CLOSED else int(at * S)
                self.call(at, ms=ms + call % 7, planned_ns=planned)
            for second in range(int(one.load_s)):
                self.event(
                    "sample",
                    begin + second + 0.5,
                    process=0,
                    span_s=1.0,
                    cpu_s=0.3,
                    call_cpu_s=0.3,
                    lag_ms=[1.0] * 50,
                )
            self.event("phase", begin + one.load_s, phase="between")
        self.call(100 * len(stages) + 50, writes=[["param", "r1", "depth", "6"]])
        self.event("phase", 100 * len(stages) + 60, phase="finish")
        self.event("server", 100 * len(stages) + 61, processes={"bench-mlflow": [10, 11]})
        self.place("param", "r1", {"depth": ["6"]})
        return self

    def place(self, kind: str, owner: str, items: dict[str, list[str]], **other: Any) -> None:
        line = {"kind": kind, "owner": owner, "items": items, "unread": {}, "error": None}
        self.read.append(line | other)

    def save(self) -> Path:
        self.path.mkdir(parents=True, exist_ok=True)
        for name, lines in (("history.jsonl", self.lines), ("readback.jsonl", self.read)):
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (self.path / name).write_text(text)
        return self.path


def good(_: Folder) -> None:
    """Leave a run as it is."""


def lost(folder: Folder) -> None:
    """Have nothing of what was read last be there."""
    folder.read[-1]["items"] = {}


def unread(folder: Folder) -> None:
    """Have what was read last not be read."""
    folder.read.pop()
