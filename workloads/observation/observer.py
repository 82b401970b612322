"""A process that looks at the system under test once a second and writes what it saw down."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import gevent  # type: ignore[import-untyped]
import psutil

from infra.outputs import Platform
from workloads.errors import summary
from workloads.history import History
from workloads.observation.containers import Containers
from workloads.observation.database import Sessions
from workloads.observation.pods import PodFigures
from workloads.target import Subject

INTERVAL_S = 1.0


class Observer:
    """Forked in the constructor, before anything runs on the event loop; looks from `start` on."""

    def __init__(self, subject: Subject, history: History) -> None:
        self._history = history
        ready, self._go = os.pipe()
        self._pid = _fork(lambda: _observe(subject, history, ready), self._go)
        os.close(ready)

    def start(self) -> None:
        """Begin to look."""
        os.write(self._go, b"\n")

    def stop(self) -> None:
        """End the process after the look that is under way."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the process now."""
        self._end(signal.SIGKILL)

    def _end(self, sign: signal.Signals) -> None:
        if self._pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._pid, sign)
        os.waitpid(self._pid, 0)
        self._pid = None
        os.close(self._go)


def _fork(main: Callable[[], None], parents: int) -> int | None:
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.close(parents)
        gevent.sleep(0.01)  # gevent closes when its loop comes round
        main()
    finally:
        os._exit(0)


def _observe(subject: Subject, history: History, ready: int) -> None:
    """Look until the parent is gone or ends this process."""
    parent = os.getppid()
    if not os.read(ready, 1):
        return
    containers = _containers(subject, history)
    sessions = _sessions(subject, history)
    due = time.monotonic()
    while os.getppid() == parent:
        history.event(
            "observe",
            machine=_machine(),
            components=containers.look() if containers else {},
            database=sessions.look() if sessions else None,
        )
        due = max(due + INTERVAL_S, time.monotonic())
        time.sleep(due - time.monotonic())


def _containers(subject: Subject, history: History) -> Containers | PodFigures | None:
    target = subject.target
    if target is None or not target.components:
        history.event("not_done", said="components were not looked at: no stack is known")
        return None
    try:
        if target.platform is Platform.KUBERNETES:
            return PodFigures(target)
        return Containers(target.components)
    except Exception as error:
        history.event("not_done", said=f"components were not looked at: {summary(error)}")
        return None


def _sessions(subject: Subject, history: History) -> Sessions | None:
    if subject.target is None or subject.secrets is None:
        history.event("not_done", said="the database was not looked at: its address is not known")
        return None
    try:
        return Sessions(subject.target.backend_store, subject.secrets.database_password)
    except Exception as error:
        history.event("not_done", said=f"the database was not looked at: {summary(error)}")
        return None


def _machine() -> dict[str, float]:
    times = psutil.cpu_times()
    idle = times.idle + times.iowait
    return {
        "cores": psutil.cpu_count() or 1,
        "busy_s": round(sum(times[:8]) - idle, 2),
        "io_wait_s": round(times.iowait, 2),
    }
