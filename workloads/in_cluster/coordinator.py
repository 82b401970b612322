"""This machine's part: it lets a pod load, observes the stack, and joins both histories."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from workloads import CannotRunError
from workloads.history.history import HISTORY, History
from workloads.in_cluster.clocks import clock_difference_s, clock_warning, load_spans, merge
from workloads.in_cluster.job import Job
from workloads.load.driver import USERS_LOG, make_folder
from workloads.observation.observers import Observers
from workloads.plan.plan import Plan
from workloads.report.live import LiveView
from workloads.target.access import effective
from workloads.target.target import Subject

OUTSIDE = "outside.jsonl"


def load(subject: Subject, plan: Plan, folder: Path, view: LiveView) -> None:
    """Set up, warm up and load from a pod of the cluster, and write the history.

    Raises `CannotRunError` if it cannot go on. Nothing is ever left in the cluster; an interrupted
    load leaves nothing here either.
    """
    assert subject.target
    make_folder(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_empty, folder)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        writer = History(scratch / OUTSIDE)
        stack.callback(writer.close)
        observers = Observers(subject, plan, writer)
        stack.callback(observers.kill)
        failure = _follow(
            Job(subject.target, plan, effective().files()), observers, writer, scratch, view
        )
        if (scratch / USERS_LOG).exists():
            (scratch / USERS_LOG).replace(folder / USERS_LOG)
        if failure:
            raise CannotRunError(f"the load's pod: {failure}")
        observers.look_at_balancer(load_spans(scratch / HISTORY))
        merge(scratch / HISTORY, scratch / OUTSIDE)
        (scratch / HISTORY).replace(folder / HISTORY)


def _follow(
    job: Job, observers: Observers, writer: History, scratch: Path, view: LiveView
) -> str | None:
    """Show the pod's progress until it ends, and copy its files; returns its error."""
    view.phase("waiting for a pod", None)
    difference_s = 0.0
    with job:
        phase = shown = None
        status: dict[str, Any] = {}
        for update in job.updates():
            if update is None:
                view.figures("")
                continue
            status = update.status
            difference_s = max(
                difference_s,
                clock_difference_s(status["wall_ns"], update.after_ns, update.before_ns),
            )
            if phase is None:
                observers.start()
            if "ended" in status:
                break
            if status["phase"] != phase:
                phase = status["phase"]
                view.phase(phase, status["seconds"])
            if status["load"] and update is not shown:
                view.load_elsewhere(status["figures"], status["load"])
            else:
                view.figures(status["figures"])
            shown = update
        observers.stop()
        observers.look_at_servers()
        view.phase("taking the history", None)
        for name, (size, digest) in status["files"].items():
            job.take(name, size, digest, scratch / name)
    if warning := clock_warning(difference_s):
        writer.event("not_done", said=warning)
    failure: str | None = status["ended"]
    return failure


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
