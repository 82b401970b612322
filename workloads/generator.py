"""The load generator: Locust's master here, and each user in a worker process of its own.

A process each, because mlflow's autologging keeps its session in one variable of the process: of
two users at once in one process, one would log nothing. It is also how teams train, and a user's
model fit then delays nobody else's calls.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import User, runners
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner

from workloads.client import WARM, Session
from workloads.errors import CannotRunError
from workloads.history import History
from workloads.plan import Plan

# Locust gives a worker up that is silent for 3 s, as one is in a long model fit, and stops the
# test. A process that ended is seen by its parent, so silence means nothing here.
runners.HEARTBEAT_LIVENESS = 3600

LAG_INTERVAL_S = 0.01
SAMPLE_S = 1.0


class Generator:
    """Users that wait for `start`; their processes are forked in the constructor.

    To be made before anything else runs on the event loop: a fork copies what is there.
    """

    def __init__(self, user_class: type[User], plan: Plan, history: History, log: Path) -> None:
        self._plan = plan
        self._history = history
        ports = [os.pipe() for _ in range(plan.profile.users)]
        self._pids = {
            user: _fork(lambda u=user, p=pipe: _user(user_class, plan, history, u, p[0]), log)  # type: ignore[misc]
            for user, pipe in enumerate(ports)
        }
        self._environment = Environment(
            user_classes=[user_class], stop_timeout=plan.profile.finish_s
        )
        self.master: MasterRunner = self._environment.create_master_runner("127.0.0.1", 0)
        self._warm: set[int] = set()
        self.master.register_message(WARM, self._is_warm)
        for _, end in ports:
            os.write(end, f"{self.master.server.port}\n".encode())
            os.close(end)

    def start(self, timeout_s: float = 90) -> None:
        """Start every user. Raises `CannotRunError` if one is not ready in time."""
        deadline = time.monotonic() + timeout_s
        while self.master.worker_count < len(self._pids):
            if self.ended() or time.monotonic() > deadline:
                raise CannotRunError("a user process did not start: see users.log of the run")
            gevent.sleep(0.05)
        self.master.start(len(self._pids), spawn_rate=len(self._pids))

    def warm(self) -> bool:
        """Whether every user has done everything at least once."""
        return len(self._warm) == self._plan.profile.users

    def _is_warm(self, environment: Environment, msg: Message, **_: Any) -> None:
        self._warm.add(msg.data)

    def ended(self) -> bool:
        """Say whether a user process is gone; it is then in the history."""
        for user, pid in list(self._pids.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._pids[user]
                self._history.event("user_ended", user=user, status=status)
                return True
        return False

    def stop(self) -> None:
        """Let users finish what they began, within the plan's time, and end their processes."""
        self.master.quit()
        self._reap(self._plan.profile.finish_s + 2)

    def kill(self) -> None:
        """End every user process now; what they had begun stays without an outcome."""
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
        self._reap(5)

    def _reap(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for user, pid in list(self._pids.items()):
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                gevent.sleep(0.02)
            del self._pids[user]


def _fork(main: Callable[[], None], log: Path) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # The terminal and Ctrl-C belong to the parent, which ends the users in order.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        main()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def _user(user_class: type[User], plan: Plan, history: History, user: int, port: int) -> None:
    with os.fdopen(port) as pipe:
        master_port = pipe.readline()
    if not master_port:
        return
    environment = Environment(user_classes=[user_class])
    session = Session(environment, history, user, plan.seed, plan.experiment_id)
    session.watch()
    user_class.session = session  # type: ignore[attr-defined]
    runner = environment.create_worker_runner("127.0.0.1", int(master_port))
    gevent.spawn(_sample, session, history, os.getppid())
    runner.greenlet.join()


def _sample(session: Session, history: History, parent: int) -> None:
    """Once a second: CPU seconds, of all and of calls alone, and the lag of the event loop in ms.

    Lag counts only while a call is waiting: that is what it adds to the call's time. A model fit
    between two calls blocks the loop too, and delays nothing.
    """
    cpu, call_cpu, since = time.process_time(), session.call_cpu_s, time.monotonic()
    lags: list[float] = []
    while os.getppid() == parent:
        waiting = set(session.in_flight)
        planned_ns = time.monotonic_ns() + int(LAG_INTERVAL_S * 1e9)
        gevent.sleep(LAG_INTERVAL_S)
        now_ns = time.monotonic_ns()
        if waiting & session.in_flight or (waiting and session.last_end_ns >= planned_ns):
            lags.append(round((now_ns - planned_ns) / 1e6, 2))
        if (now := now_ns / 1e9) - since >= SAMPLE_S:
            history.event(
                "sample",
                user=session.user,
                span_s=round(now - since, 4),
                cpu_s=round(time.process_time() - cpu, 4),
                call_cpu_s=round(session.call_cpu_s - call_cpu, 4),
                lag_ms=lags,
            )
            cpu, call_cpu, since = time.process_time(), session.call_cpu_s, now
            lags = []
    os._exit(1)
