"""The machine outside: it has a pod load, watches what is loaded, and joins both histories."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from workloads.errors import CannotRunError
from workloads.history import HISTORY, History
from workloads.inside.clocks import apart, complaint, merge, spans
from workloads.inside.job import Job
from workloads.load import USERS_LOG, make
from workloads.observation.beside import Beside
from workloads.plan import Plan
from workloads.report.live import LiveView
from workloads.target import Subject

OUTSIDE = "outside.jsonl"


def load(subject: Subject, plan: Plan, folder: Path, view: LiveView) -> None:
    """Set up, warm up and load from a pod of the cluster; leaves the history.

    Raises `CannotRunError` if it cannot go on. Whatever happens, nothing stays in the cluster; an
    interrupted load leaves nothing here either.
    """
    assert subject.target
    make(folder)
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_empty, folder)
        aside = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
        writer = History(aside / OUTSIDE)
        stack.callback(writer.close)
        beside = Beside(subject, plan, writer)
        stack.callback(beside.kill)
        failed = _follow(Job(subject.target, plan), beside, writer, aside, view)
        if (aside / USERS_LOG).exists():
            (aside / USERS_LOG).replace(folder / USERS_LOG)
        if failed:
            raise CannotRunError(f"the load's pod: {failed}")
        beside.look_at_balancer(spans(aside / HISTORY))
        merge(aside / HISTORY, aside / OUTSIDE)
        (aside / HISTORY).replace(folder / HISTORY)


def _follow(job: Job, beside: Beside, writer: History, aside: Path, view: LiveView) -> str | None:
    """Show what the pod tells until it has ended, and take its files; return what went wrong."""
    view.phase("waiting for a pod", None)
    apart_s = 0.0
    with job:
        phase = None
        said: dict[str, Any] = {}
        for word in job.words():
            if word is None:
                view.figures("")
                continue
            said = word.said
            apart_s = max(apart_s, apart(said["wall_ns"], word.after_ns, word.before_ns))
            if phase is None:
                beside.start()
            if "ended" in said:
                break
            if said["phase"] != phase:
                phase = said["phase"]
                view.phase(phase, said["seconds"])
            view.figures(said["figures"])
        beside.stop()
        beside.look_at_servers()
        view.phase("taking the history", None)
        for name, (size, digest) in said["files"].items():
            job.take(name, size, digest, aside / name)
    if wrong := complaint(apart_s):
        writer.event("not_done", said=wrong)
    failed: str | None = said["ended"]
    return failed


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
