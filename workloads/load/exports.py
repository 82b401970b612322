"""The exporters of traces, which clients run in threads of their own: whose calls, what they drop.

MLflow's client hands ended spans to OpenTelemetry's batch processor (a queue of 2,048 spans), which
hands batches of five to a queue of 1,000 tasks that ten workers empty. OpenTelemetry's SDK has the
batch processor alone, with batches of 512. Both queues throw away silently when they are full; here
that is counted, as history lines of type `dropped_by_client`:

    what    `spans`, or `trace`: what is kept of a trace beside its spans
    count   how many of them: export tasks of the client, or spans where it drops single ones
    spans   how many spans that is
    why     in words

The patches follow mlflow 3.17.2 and opentelemetry-sdk as pinned.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from queue import Full, Queue
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import gevent  # type: ignore[import-untyped]
from gevent.event import Event  # type: ignore[import-untyped]
from mlflow.tracing.export.async_export_queue import AsyncTraceExportQueue, Task
from mlflow.tracing.export.mlflow_v3 import MlflowV3SpanExporter
from opentelemetry.sdk._shared_internal import BatchProcessor
from opentelemetry.sdk.trace.export import SpanExportResult

from workloads.history.history import DROPPED
from workloads.history.spans import otel_id
from workloads.load.backlog import Backlog, Sent
from workloads.load.errand import Errand
from workloads.load.session import Session

if TYPE_CHECKING:
    from workloads.load.process import Process

SPANS, TRACE = "spans", "trace"
"""What is dropped."""

TELL_S = 0.25
"""A flood of drops is told in a line for each time this long."""

REMEMBERED = 20_000
"""Traces whose users are known; older ones count as those of the newest user."""


def ignore_fork_hooks() -> None:
    """Let nothing more be registered for forks in this process, which runs commands at most.

    OpenTelemetry's batch processor starts a thread in every forked child. Under gevent the child
    then lets all users go on, beside those of this process, until it becomes the command: they did
    turns twice, with the same ids.
    """

    def register_at_fork(**_: Callable[[], Any]) -> None:
        """Ignore it."""

    os.register_at_fork = register_at_fork  # type: ignore[assignment]


class Exports:
    """The exporters of a generator process."""

    def __init__(self, process: "Process", backlog: Backlog) -> None:
        self._process = process
        self._backlog = backlog
        self._owners: dict[int, Session] = {}
        self._left: Counter[int] = Counter()
        """Spans and tasks that are not sent yet, by trace."""
        self._total = 0
        self._acknowledged_spans = 0
        self._dropped_so_far = 0
        self._running = 0
        self._sent: dict[int, Event] = {}
        self._missing: set[int] = set()
        """Traces of which something was dropped or not acknowledged."""
        self._dropped: Counter[tuple[str, str]] = Counter()
        self._dropped_spans: Counter[tuple[str, str]] = Counter()
        self._dropped_ns = 0
        self._queues: WeakSet[AsyncTraceExportQueue] = WeakSet()
        self._batchers: WeakSet[BatchProcessor[Any]] = WeakSet()

    def install(self) -> "Exports":
        """Watch every exporter that this process makes from now on."""
        ignore_fork_hooks()
        exports = self
        new_queue, put = AsyncTraceExportQueue.__init__, AsyncTraceExportQueue.put
        new_batcher, emit = BatchProcessor.__init__, BatchProcessor.emit
        collect = MlflowV3SpanExporter._collect_mlflow_spans_for_export

        def init_queue(queue: AsyncTraceExportQueue) -> None:
            new_queue(queue)  # type: ignore[no-untyped-call]
            queue._queue = _TellingQueue(queue._queue.maxsize, exports)
            exports._queues.add(queue)

        def put_task(queue: AsyncTraceExportQueue, task: Task) -> None:
            put(queue, exports._watched(queue, task))

        def init_batcher(
            batcher: BatchProcessor[Any], exporter: Any, *args: Any, **kwargs: Any
        ) -> None:
            watched = _WatchedExporter(exporter, batcher, exports)
            new_batcher(batcher, watched, *args, **kwargs)
            exports._batchers.add(batcher)

        def emit_span(batcher: BatchProcessor[Any], span: Any) -> None:
            oldest = batcher._queue[-1] if len(batcher._queue) == batcher._max_queue_size else None
            exports._add(span.context.trace_id)
            emit(batcher, span)
            if oldest is not None:
                size = batcher._max_queue_size
                exports._drop(SPANS, f"the batch processor's queue of {size} spans was full")
                exports._missing.add(oldest.context.trace_id)
                exports._take([oldest.context.trace_id])

        def collect_spans(exporter: MlflowV3SpanExporter, spans: Sequence[Any]) -> Any:
            kept = collect(exporter, spans)
            if missing := len(spans) - sum(map(len, kept.values())):
                exports._drop(SPANS, "the client no longer knew their trace", missing, missing)
                known = Counter(otel_id(span.trace_id) for each in kept.values() for span in each)
                ended = Counter(span.context.trace_id for span in spans)
                exports._missing.update(ended - known)
                exports._take((ended - known).elements())
            return kept

        AsyncTraceExportQueue.__init__ = init_queue  # type: ignore[method-assign]
        AsyncTraceExportQueue.put = put_task  # type: ignore[method-assign, assignment]
        BatchProcessor.__init__ = init_batcher  # type: ignore[method-assign, assignment]
        BatchProcessor.emit = emit_span  # type: ignore[method-assign, assignment]
        MlflowV3SpanExporter._collect_mlflow_spans_for_export = (  # type: ignore[method-assign]
            collect_spans  # type: ignore[assignment]
        )
        return self

    @property
    def unsent(self) -> int:
        """Spans and tasks that clients have not sent yet."""
        return self._total

    def wait_for(self, trace_id: int, timeout_s: float) -> bool:
        """Wait until nothing of this trace is left to be sent; returns whether nothing is."""
        if trace_id not in self._left:
            return True
        return bool(self._sent.setdefault(trace_id, Event()).wait(timeout_s))

    def arrived(self, trace_id: int) -> bool:
        """Whether all of a trace was acknowledged, as far as the client sent it by now."""
        return trace_id not in self._left and trace_id not in self._missing

    def finish(self) -> None:
        """Tell what was dropped, and what is still in the queues of a client that ends now."""
        why = "it was still in the client's queue when the run ended"
        for queue in self._queues:
            for task in list(queue._queue.queue):
                if isinstance(task, _WatchedTask):
                    self._drop(task.what, why, 1, task.spans)
        for batcher in self._batchers:
            if waiting := len(batcher._queue):
                self._drop(SPANS, why, waiting, waiting)
        self._tell()

    def export(self, exporter: Any, batcher: "BatchProcessor[Any]", spans: Sequence[Any]) -> Any:
        """Let the exporter send a batch, as an errand of the user who made its first span."""
        ids = [span.context.trace_id for span in spans]
        last_end_ns = getattr(batcher, "_exported_ns", 0)
        now_ns = time.monotonic_ns()
        # A full batch was there when its last span ended, any other one when its time was over.
        full = len(spans) >= batcher._max_export_batch_size
        due_ns = now_ns - max(0, time.time_ns() - spans[-1].end_time) if full else now_ns
        errand = self._errand(ids[0], due_ns, queued=due_ns < last_end_ns)
        mlflows = isinstance(exporter, MlflowV3SpanExporter)  # it only makes tasks of them here
        if errand:
            errand.retries = not mlflows
        try:
            with self._as(errand):
                result = exporter.export(spans)
            if result is SpanExportResult.FAILURE and errand and not errand.calls:
                self._drop(SPANS, "the client did not send it", len(ids), len(ids))
            return result
        finally:
            batcher._exported_ns = time.monotonic_ns()  # type: ignore[attr-defined]
            if errand and (held := errand.held):
                self._process.history.complete(held.outcome, held.op, held.at_ns, **held.ended)
            if not mlflows:
                if errand and errand.answered is None:
                    self._missing.update(ids)
                elif errand:
                    self._acknowledged_spans += len(ids)
                self._take(ids)

    def handle(self, task: "_WatchedTask") -> None:
        """Do a task of MLflow's exporter, as an errand of the user who made the trace."""
        self._running += 1
        try:
            with self._as(task.errand):
                task.task.handle()
            if task.errand and not task.errand.calls:
                self._drop(task.what, "the client did not send it", 1, task.spans)
        finally:
            self._running -= 1
            if task.errand and task.errand.answered is None:
                self._missing.update(task.traces)
            elif task.errand:
                self._acknowledged_spans += task.spans
            self._take(task.traces)

    def refuse(self, task: "_WatchedTask", size: int) -> None:
        """Take note of a task for which the queue had no room."""
        self._drop(task.what, f"the queue of {size} export tasks was full", 1, task.spans)
        self._missing.update(task.traces)
        self._take(task.traces)

    def _watched(self, queue: AsyncTraceExportQueue, task: Task) -> Task:
        busy = self._running + queue._queue.qsize() >= queue._max_workers
        first, *_ = task.args
        if hasattr(first, "info"):  # a trace, of whose spans nothing is sent
            what, spans, traces = TRACE, 0, [otel_id(first.info.trace_id)]
            self._add(traces[0])
        else:
            what, spans = SPANS, len(task.args[1])
            traces = [otel_id(span.trace_id) for span in task.args[1]]
        errand = self._errand(traces[0], time.monotonic_ns(), queued=busy)
        return _WatchedTask(task, self, errand, what, spans, traces)

    def _errand(self, trace_id: int, due_ns: int, *, queued: bool) -> Errand | None:
        owner = self._owners.get(trace_id) or self._process.newest
        if owner is None:
            return None
        schedule = self._process.schedule
        planned = schedule is not None and schedule.planned
        return Errand(owner, due_ns if planned else None, queued=queued)

    @contextmanager
    def _as(self, errand: Errand | None) -> Iterator[None]:
        before = self._process.caller()
        if errand:
            self._process.attribute_calls_to(errand)
        try:
            yield
        finally:
            if before:
                self._process.attribute_calls_to(before)

    def _add(self, trace_id: int) -> None:
        if trace_id not in self._owners:
            caller = self._process.current_session()
            if caller is not None:
                self._owners[trace_id] = caller.session if isinstance(caller, Errand) else caller
            if len(self._owners) > REMEMBERED:
                del self._owners[next(iter(self._owners))]
        self._left[trace_id] += 1
        self._total += 1
        self._show()

    def _take(self, trace_ids: Iterable[int]) -> None:
        for trace_id in trace_ids:
            self._total -= 1
            self._left[trace_id] -= 1
            if self._left[trace_id] <= 0:
                del self._left[trace_id]
                if sent := self._sent.pop(trace_id, None):
                    sent.set()
        self._show()

    def _drop(self, what: str, why: str, count: int = 1, spans: int = 1) -> None:
        if not self._dropped:
            self._dropped_ns = time.monotonic_ns()
            gevent.spawn_later(TELL_S, self._tell)
        self._dropped[what, why] += count
        self._dropped_spans[what, why] += spans
        self._dropped_so_far += spans if what == SPANS else 0
        self._show()

    def _show(self) -> None:
        sent = Sent(self._total, self._acknowledged_spans, self._dropped_so_far)
        self._backlog.tell(self._process.index, sent)

    def _tell(self) -> None:
        dropped, self._dropped = self._dropped, Counter()
        spans, self._dropped_spans = self._dropped_spans, Counter()
        for (what, why), count in dropped.items():
            self._process.history.event(
                DROPPED, self._dropped_ns, what=what, count=count, spans=spans[what, why], why=why
            )


class _WatchedTask(Task):
    """A task of MLflow's queue that belongs to a user."""

    def __init__(
        self,
        task: Task,
        exports: Exports,
        errand: Errand | None,
        what: str,
        spans: int,
        traces: list[int],
    ) -> None:
        super().__init__(task.handler, task.args, task.error_msg)
        self.task = task
        self.errand = errand
        self.what = what
        self.spans = spans
        self.traces = traces
        self._exports = exports

    def handle(self) -> None:
        """Do it."""
        self._exports.handle(self)


class _TellingQueue(Queue[Task]):
    """A queue that tells what it has no room for."""

    def __init__(self, maxsize: int, exports: Exports) -> None:
        super().__init__(maxsize)
        self._exports = exports

    def put(self, item: Task, block: bool = True, timeout: float | None = None) -> None:
        """Put an item; raises `Full` as the queue of the standard library does."""
        try:
            super().put(item, block, timeout)
        except Full:
            if isinstance(item, _WatchedTask):
                self._exports.refuse(item, self.maxsize)
            raise


class _WatchedExporter:
    """An exporter whose exports belong to users."""

    def __init__(self, exporter: Any, batcher: "BatchProcessor[Any]", exports: Exports) -> None:
        self._exporter = exporter
        self._batcher = batcher
        self._exports = exports

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exporter, name)

    def export(self, spans: Sequence[Any]) -> Any:
        """Export these spans."""
        return self._exports.export(self._exporter, self._batcher, spans)
