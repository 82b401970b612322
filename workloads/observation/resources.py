"""A process that looks at the system under test once a second and writes what it saw down."""

import time
from collections.abc import Callable

import psutil

from infra.outputs import Platform
from workloads import error_summary
from workloads.history.history import History
from workloads.observation.child_process import ChildProcess
from workloads.observation.container_usage import ContainerUsage
from workloads.observation.database import DatabaseSessions
from workloads.observation.pod_usage import PodUsage
from workloads.target.target import Subject

INTERVAL_S = 1.0


class ResourceObserver(ChildProcess):
    """Looks from `start` on."""

    def __init__(self, subject: Subject, history: History) -> None:
        super().__init__(lambda parent_runs: _observe(subject, history, parent_runs))


class MachineObserver(ChildProcess):
    """Looks at the machine alone: the node of the pod that it is in."""

    def __init__(self, history: History) -> None:
        def look() -> None:
            history.event("machine", machine=_machine())

        super().__init__(lambda parent_runs: _every_second(look, parent_runs))


def _observe(subject: Subject, history: History, parent_runs: Callable[[], bool]) -> None:
    containers = _containers(subject, history)
    sessions = _sessions(subject, history)

    def look() -> None:
        history.event(
            "observe",
            machine=_machine(),
            components=containers.look() if containers else {},
            database=sessions.look() if sessions else None,
        )

    _every_second(look, parent_runs)


def _every_second(look: Callable[[], None], parent_runs: Callable[[], bool]) -> None:
    """Look until the parent is gone or ends this process."""
    due = time.monotonic()
    while parent_runs():
        look()
        due = max(due + INTERVAL_S, time.monotonic())
        time.sleep(due - time.monotonic())


def _containers(subject: Subject, history: History) -> ContainerUsage | PodUsage | None:
    target = subject.target
    if target is None or not target.components:
        history.event("not_done", said="components were not looked at: no stack is known")
        return None
    try:
        if target.platform is Platform.KUBERNETES:
            return PodUsage(target)
        return ContainerUsage(target.components)
    except Exception as error:
        history.event("not_done", said=f"components were not looked at: {error_summary(error)}")
        return None


def _sessions(subject: Subject, history: History) -> DatabaseSessions | None:
    if subject.target is None or subject.secrets is None:
        history.event("not_done", said="the database was not looked at: its address is not known")
        return None
    try:
        return DatabaseSessions(subject.target.backend_store, subject.secrets.database_password)
    except Exception as error:
        history.event("not_done", said=f"the database was not looked at: {error_summary(error)}")
        return None


def _machine() -> dict[str, float]:
    times = psutil.cpu_times()
    idle = times.idle + times.iowait
    return {
        "cores": psutil.cpu_count() or 1,
        "busy_s": round(sum(times[:8]) - idle, 2),
        "io_wait_s": round(times.iowait, 2),
    }
