"""Whose the calls of clients' own threads are, and what their queues throw away."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracing.export.async_export_queue import AsyncTraceExportQueue, Task
from mlflow.tracing.export.mlflow_v3 import MlflowV3SpanExporter
from opentelemetry.sdk._shared_internal import BatchProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from tests.unit.workloads.builders import plan, stage
from workloads.history.history import DROPPED, HISTORY, History, lines
from workloads.load.arrivals import Schedule
from workloads.load.backlog import Backlog
from workloads.load.exports import Exports
from workloads.load.process import Process
from workloads.load.session import Session
from workloads.plan.plan import Load

WAIT_S = 20.0


class Watched:
    """A generator process with two users, whose exporters are watched."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / HISTORY
        writer = History(self.path)
        writer.event("plan", plan=plan().model_dump(mode="json"))
        self.process = Process(SimpleNamespace(), writer, plan(), 0)  # type: ignore[arg-type]
        self.backlog = Backlog(2)
        self.exports = Exports(self.process, self.backlog).install()
        self.users = [self.process.new_session() for _ in range(2)]

    def dropped(self) -> list[dict[str, Any]]:
        self.exports.finish()
        return [line for line in lines(self.path) if line["type"] == DROPPED]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    for owner, name in (
        (AsyncTraceExportQueue, "__init__"),
        (AsyncTraceExportQueue, "put"),
        (BatchProcessor, "__init__"),
        (BatchProcessor, "emit"),
        (MlflowV3SpanExporter, "_collect_mlflow_spans_for_export"),
        (os, "register_at_fork"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # as it is, and again afterwards
    return Watched(tmp_path)


def spans(trace: int, number: int) -> list[SimpleNamespace]:
    return [SimpleNamespace(trace_id=f"tr-{trace:032x}") for _ in range(number)]


def started(watched: Watched, user: Session, trace: int) -> None:
    """Let a user make a span of this trace."""
    watched.process.attribute_calls_to(user)
    watched.exports._add(trace)


def test_what_a_full_queue_of_tasks_throws_away_is_told(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ASYNC_TRACE_LOGGING_MAX_QUEUE_SIZE", "2")
    queue = AsyncTraceExportQueue()  # type: ignore[no-untyped-call]
    queue._is_active = True  # nobody takes anything out
    for trace in range(4):
        queue.put(Task(print, ("1", spans(trace, 5), None)))
    queue.put(Task(print, (SimpleNamespace(info=spans(9, 1)[0]), [], None)))
    full = "the queue of 2 export tasks was full"
    left = "it was still in the client's queue when the run ended"
    assert [(d["what"], d["count"], d["spans"], d["why"]) for d in watched.dropped()] == [
        ("spans", 2, 10, full),
        ("trace", 1, 0, full),
        ("spans", 2, 10, left),
    ]
    queue._is_active = False


def test_a_task_is_an_errand_of_the_user_who_made_the_trace(watched: Watched) -> None:
    callers: list[Any] = []
    done = threading.Semaphore(0)

    def send(*_: Any) -> None:
        caller = watched.process.current_session()
        assert caller
        callers.append((caller.user, caller.in_foreground, caller.next_op()))
        done.release()

    queue = AsyncTraceExportQueue()  # type: ignore[no-untyped-call]
    for trace, user in enumerate(watched.users):
        started(watched, user, trace)
        assert watched.backlog.total() == 1
        queue.put(Task(send, ("1", spans(trace, 1), None)))
        assert done.acquire(timeout=WAIT_S)
        assert watched.exports.wait_for(trace, WAIT_S)
        assert watched.backlog.total() == 0
    queue.flush(terminate=True)
    assert callers == [(0, True, "0.1"), (2, True, "2.1")]
    assert watched.process.caller() is watched.users[1]
    assert watched.dropped() == []


def test_a_trace_has_arrived_when_every_task_of_it_was_acknowledged(watched: Watched) -> None:
    answers = iter(["POST v1/traces", None])

    def send(*_: object) -> None:
        caller = watched.process.current_session()
        assert caller
        caller.next_op()
        caller.answered = next(answers)

    queue = AsyncTraceExportQueue()  # type: ignore[no-untyped-call]
    for trace in (1, 2):
        started(watched, watched.users[0], trace)
        watched.exports._take([trace])  # its only span is in the task
        queue.put(Task(send, ("1", spans(trace, 1), None)))
        watched.exports._add(trace)
        assert not watched.exports.arrived(trace)
    queue.flush(terminate=True)
    assert watched.exports.unsent == 0
    assert [watched.exports.arrived(trace) for trace in (1, 2)] == [True, False]


def test_a_task_that_sends_nothing_is_told(watched: Watched) -> None:
    queue = AsyncTraceExportQueue()  # type: ignore[no-untyped-call]
    started(watched, watched.users[0], 1)
    queue.put(Task(lambda *_: None, ("1", spans(1, 1), None)))
    queue.flush(terminate=True)
    [line] = watched.dropped()
    assert (line["what"], line["spans"], line["why"]) == ("spans", 1, "the client did not send it")


class Holding(SpanExporter):
    """An exporter that holds its batches until it is let go on."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.go_on, self.entered = threading.Event(), threading.Event()
        self.exported = 0
        self.users: set[int] = set()

    def export(self, spans: Any) -> SpanExportResult:
        caller = self.process.current_session()
        assert caller
        caller.next_op()
        self.users.add(caller.user)
        self.entered.set()
        assert self.go_on.wait(WAIT_S)
        self.exported += len(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


@pytest.fixture
def holding(watched: Watched) -> Iterator[tuple[Holding, TracerProvider]]:
    exporter = Holding(watched.process)
    provider = TracerProvider(shutdown_on_exit=False)
    batches = BatchSpanProcessor(exporter, 4, 600_000, 2)
    provider.add_span_processor(batches)
    yield exporter, provider
    exporter.go_on.set()
    provider.shutdown()


def test_what_a_full_batch_processor_throws_away_is_told(
    watched: Watched, holding: tuple[Holding, TracerProvider]
) -> None:
    exporter, provider = holding
    tracer = provider.get_tracer("test")
    watched.process.attribute_calls_to(watched.users[1])
    for number in range(9):
        tracer.start_span(f"span {number}").end()
        if number == 1:
            assert exporter.entered.wait(WAIT_S)
    assert watched.backlog.total() == 6  # two under way, four in the queue
    exporter.go_on.set()
    assert provider.force_flush()
    assert exporter.exported == 6
    assert exporter.users == {watched.users[1].user}
    assert watched.backlog.total() == 0
    assert watched.backlog.sent().dropped == 3
    [line] = watched.dropped()
    assert (line["what"], line["count"], line["spans"]) == ("spans", 3, 3)
    assert line["why"] == "the batch processor's queue of 4 spans was full"


def test_a_full_batch_is_due_when_its_last_span_ended(
    watched: Watched,
    holding: tuple[Holding, TracerProvider],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exporter, provider = holding
    planned: list[dict[str, Any]] = []

    def export(_: Any) -> SpanExportResult:
        caller = watched.process.current_session()
        assert caller
        planned.append(caller.planned())
        return SpanExportResult.SUCCESS

    monkeypatch.setattr(exporter, "export", export)
    opened = stage(load=Load.OPEN, rate=5)
    watched.process.schedule = Schedule(opened, 0, seed=1, ticket=lambda: 0)
    watched.process.attribute_calls_to(watched.users[0])
    tracer = provider.get_tracer("test")
    tracer.start_span("early").end()
    tracer.start_span("late").end(time.time_ns() - 3_000_000_000)
    provider.force_flush()
    deadline = time.monotonic() + WAIT_S
    while not planned and time.monotonic() < deadline:
        time.sleep(0.01)
    assert planned[0]["planned_ns"] < time.monotonic_ns() - 3_000_000_000
