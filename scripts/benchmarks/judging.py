"""Judging a history: time and peak memory, of this tree and of a commit to set it against.

    python -m scripts.benchmarks.judging --operations 1000000 --against 1139bcf

Both judge the same files, one after the other; each is a process of its own. The history is that
of users who log runs, read them, and store a file each; what was read back is what they wrote.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from array import array
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tests.unit.workloads.builders import plan, stage
from workloads.history.history import HISTORY, Kind
from workloads.history.sightings import digest
from workloads.verdict.judge import READBACK

OPERATIONS_OF_A_RUN = 8
POINTS, PARAMS = 5, 5
SOURCES = ("mlflow-a-1", "mlflow-a-2", "postgres")
ROOT = Path(__file__).resolve().parents[2]

_CHILD = """
import json, resource, sys, time
from pathlib import Path
try:
    from workloads.verdict.judge import judge
except ModuleNotFoundError:  # before 2026-11-28
    from workloads.judge import judge
began, used = time.monotonic(), time.process_time()
result, _ = judge(Path(sys.argv[1]))
took = time.monotonic() - began, time.process_time() - used
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
kinds = {name: one.model_dump() for name, one in result.durability.kinds.items()}
said = [result.verdict.judgement, kinds, result.durability.findings, result.freshness.reads]
print(json.dumps([*took, peak, said]))
"""


@dataclass(frozen=True)
class Judged:
    """What judging took, and what it said."""

    took_s: float
    cpu_s: float
    peak_mib: float
    said: list[Any]

    def __str__(self) -> str:
        return f"{self.took_s:.1f} s, {self.cpu_s:.1f} s of CPU, {self.peak_mib:.0f} MiB at most"


def main() -> None:
    """Write a history, judge it, and print both figures as ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--against", help="commit to judge with as well")
    parser.add_argument("--folder", type=Path, help="where the history is kept; else it is removed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as scratch:
        folder = options.folder or Path(scratch) / "run"
        if not (folder / HISTORY).exists():
            folder.mkdir(parents=True, exist_ok=True)
            write(folder, options.operations // OPERATIONS_OF_A_RUN)
        sizes = {path.name: path.stat().st_size // 2**20 for path in folder.iterdir()}
        print(f"{options.operations} operations; MiB: {sizes}", flush=True)
        new = _judge(ROOT, folder)
        print(f"this tree: {new}", flush=True)
        if options.against:
            with _checked_out(options.against, Path(scratch) / "tree") as tree:
                old = _judge(tree, folder)
            print(f"{options.against}: {old}")
            print(
                f"old/new: time {old.took_s / new.took_s:.1f}, CPU {old.cpu_s / new.cpu_s:.1f}, "
                f"memory {old.peak_mib / new.peak_mib:.2f}; they say "
                f"{'the same' if old.said == new.said else 'different things'}"
            )


@contextmanager
def _checked_out(commit: str, tree: Path) -> Iterator[Path]:
    git = ["git", "-C", str(ROOT), "worktree"]
    subprocess.run([*git, "add", "--detach", tree, commit], check=True, capture_output=True)
    try:
        yield tree
    finally:
        subprocess.run([*git, "remove", "--force", tree], check=True)


def _judge(tree: Path, folder: Path) -> Judged:
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, folder],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return Judged(*json.loads(child.stdout))


def write(folder: Path, runs: int) -> None:
    """Write the files of a run in which so many runs were logged, read and ended."""
    with (folder / HISTORY).open("w") as history, (folder / READBACK).open("w") as readback:
        out = _History(history)
        known = stage(name="open", load="open", rate=100.0, load_s=runs / 20).model_dump(
            mode="json"
        )
        made = plan(computes=False, processes=1, scenario="metrics")
        out.event("plan", plan=made.model_dump(mode="json"))
        out.event("ceiling", rate=2000.0)
        out.event("phase", phase="warm-up", stage=known)
        out.event("phase", phase="load", stage=known)
        for source in SOURCES:
            held = sorted(set(Kind) - {Kind.DELETION, Kind.ARTIFACT})
            _line(readback, source=source, holds=held)
        _line(readback, source="volume", holds=["artifact"])
        for number in range(runs):
            _log_a_run(out, number, known=number % 100 == 0)
            _read_a_run_back(readback, number)
        out.event("phase", phase="finish")


class _History:
    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._now = 10**12
        self._count = 0

    def event(self, type_: str, **fields: Any) -> None:
        self._now += 1_000_000
        _line(self._file, type=type_, mono_ns=self._now, wall_ns=self._now + 10**18, **fields)

    def call(self, name: str, writes: list[list[str | None]], **ended: Any) -> None:
        self._count += 1
        op = f"{self._count % 8}.{self._count}"
        user, planned = self._count % 64, self._now
        self.event(
            "invoke",
            op=op,
            user=user,
            kind="call",
            name=name,
            step=None,
            background=False,
            writes=writes,
            planned_ns=planned,
            queued=False,
        )
        self._now += 1_000_000 * (3 + self._count % 17)
        self.event("ok", op=op, status=200, replica=SOURCES[self._count % 2], **ended)

    @property
    def milliseconds(self) -> int:
        return self._now // 1_000_000


def _names(number: int) -> tuple[str, str]:
    return f"{number * 2654435761 % 2**64:032x}", f"{number:08x}-0000-4000-8000-{number:012x}"


def _params(number: int) -> dict[str, str]:
    return {f"param-{n}": f"0.{number * 7919 + n:016d}" for n in range(PARAMS)}


def _points(number: int) -> list[str]:
    return [f"[{step}, {1795868600000 + number}, 0.{number:08d}{step}]" for step in range(POINTS)]


def _log_a_run(out: _History, number: int, *, known: bool) -> None:
    run, token = _names(number)
    tags = {"mlflow-bench.token": token, "team": f"team-{number % 64}"}
    fields = {"lifecycle_stage": "active", "start_time": str(1795868600000 + number)}
    params, points = _params(number), _points(number)
    created = [
        ["run", "1", token, None],
        ["status", None, "status", "RUNNING"],
        *(["field", None, key, value] for key, value in fields.items()),
        *(["tag", None, key, value] for key, value in tags.items()),
    ]
    out.call("POST runs/create", created, created=run)
    out.call("POST runs/log-batch", [["param", run, *item] for item in params.items()])
    out.call("POST runs/log-batch", [["metric point", run, "loss", one] for one in points])
    things = [("status", "status", "RUNNING"), ("metric point", "loss", points[-1])]
    things += [("field", *item) for item in fields.items()]
    things += [("tag", *item) for item in tags.items()]
    things += [("param", *item) for item in params.items()]
    shown = _packed(digest(Kind(kind), key, value) for kind, key, value in things)
    out.call("GET runs/get", [], saw=[["run", run, "", shown]])
    curve = _packed(digest(Kind.METRIC, "loss", one) for one in points)
    out.call("GET metrics/get-history", [], saw=[["curve", run, "loss", curve]])
    out.call("PUT artifact", [["artifact", run, "model/model.pkl", f"{number:064x}"]])
    out.call("POST runs/set-tag", [["tag", run, "stage", "done"]])
    out.call("POST runs/update", [["status", run, "status", "FINISHED"]])


def _packed(digests: Any) -> str:
    return b64encode(array("I", digests)).decode()


def _read_a_run_back(readback: TextIO, number: int) -> None:
    run, token = _names(number)
    points = _points(number)
    items: dict[str, dict[str, list[str]]] = {
        "status": {"status": ["FINISHED"]},
        "field": {
            "name": [f"calm-{number}"],
            "lifecycle_stage": ["active"],
            "start_time": [str(1795868600000 + number)],
        },
        "param": {key: [value] for key, value in _params(number).items()},
        "tag": {
            "mlflow-bench.token": [token],
            "team": [f"team-{number % 64}"],
            "stage": ["done"],
            "mlflow.runName": [f"calm-{number}"],
        },
        "dataset input": {},
        "model output": {},
        "metric point": {"loss": points},
        "latest metric": {"loss": [points[-1]]},
    }
    for source in SOURCES:
        place: dict[str, Any] = {"source": source, "unread": {}, "error": None}
        _line(readback, **place, kind="run", owner="1", items={token: [run]})
        for kind, held in items.items():
            _line(readback, **place, kind=kind, owner=run, items=held)
    _line(
        readback,
        source="volume",
        kind="artifact",
        owner=run,
        items={"model/model.pkl": [f"{number:064x}"]},
        unread={},
        error=None,
    )


def _line(file: TextIO, **fields: Any) -> None:
    file.write(json.dumps(fields, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
