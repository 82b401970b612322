"""The load generator: Locust's master here, its workers in processes of their own.

Users that compute, as trainers do, get a process each: mlflow's autologging keeps its session in
one variable of the process, so that of two users at once in one process, one would log nothing.
It is also how teams train, and a user's model fit then delays nobody else's calls. Other users
share as many processes as the plan says.
"""

import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust import User, runners
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner

from workloads import priority
from workloads.client import STAGE, WARM, Process
from workloads.errors import CannotRunError
from workloads.history import History
from workloads.plan import Load, Plan, Stage

# Locust gives a worker up that is silent for 3 s, as one is in a long model fit, and stops the
# test. A process that ended is seen by its parent, so silence means nothing here.
runners.HEARTBEAT_LIVENESS = 3600

LAG_INTERVAL_S = 0.01
SAMPLE_S = 1.0
START_S = 90.0
"""Longest time for processes and users to be ready."""
_PARENTS: list[int] = []
"""Ends of pipes that are the parent's alone: a process must see when the parent is gone."""

LISTENING = "listening"
"""Message of a process to the generator: it takes stages from now on. Locust counts a worker as
there once it has spoken, which is before; what it is told in between is lost."""

AHEAD_S = 0.2
"""Time between the announcement of a schedule and its begin."""


class Generator:
    """Users that wait for a stage; their processes are forked in the constructor.

    To be made before anything else runs on the event loop: a fork copies what is there. `connect`
    comes next.
    """

    master: MasterRunner

    def __init__(self, user_class: type[User], plan: Plan, history: History, log: Path) -> None:
        self._plan = plan
        self._history = history
        self._user_class = user_class
        self._warm: set[int] = set()
        self._listening: set[int] = set()
        # Users leave files behind when their process ends, and so does the client.
        self._scratch = tempfile.TemporaryDirectory(
            prefix="mlflow-bench-", ignore_cleanup_errors=True
        )
        gc.collect()
        gc.freeze()  # what is there now is never collected: no pause of a tenth of a second for it
        self._pids: dict[int, int] = {}
        self._ports: list[int] = []
        for index in range(plan.processes):
            port, end = os.pipe()
            self._ports.append(end)
            _PARENTS.append(end)
            self._pids[index] = _fork(
                lambda i=index, p=port: _process(user_class, plan, history, i, p),  # type: ignore[misc]
                log,
                self._scratch.name,
            )
            os.close(port)

    def connect(self) -> None:
        """Make the master and wait for every process. Raises `CannotRunError` if one is late."""
        self._environment = Environment(
            user_classes=[self._user_class], stop_timeout=self._plan.profile.finish_s
        )
        self.master = self._environment.create_master_runner("127.0.0.1", 0)
        self.master.register_message(WARM, self._is_warm)
        self.master.register_message(LISTENING, self._is_listening)
        for end in self._ports:
            os.write(end, f"{self.master.server.port}\n".encode())
            os.close(end)
            _PARENTS.remove(end)
        deadline = time.monotonic() + START_S
        while len(self._listening) < len(self._pids):
            if self.ended() or time.monotonic() > deadline:
                raise CannotRunError("a generator process did not start: see users.log of the run")
            gevent.sleep(0.05)

    def begin(self, stage: Stage) -> None:
        """Begin a stage: as many users as it wants, and its schedule.

        Raises `CannotRunError` if users with a schedule are not ready in time. Users of a closed
        load that were there before go on as they are.
        """
        closed = stage.load is Load.CLOSED
        self._announce(stage if closed else None)
        self.master.start(stage.users, spawn_rate=stage.users)
        if closed:
            return
        deadline = time.monotonic() + START_S
        while not self.warm(stage):
            if self.ended() or time.monotonic() > deadline:
                raise CannotRunError("users did not start: see users.log of the run")
            gevent.sleep(0.02)
        self._announce(stage)

    def _announce(self, stage: Stage | None) -> None:
        begin_ns = time.monotonic_ns() + int(AHEAD_S * 1e9)
        schedule = None if stage is None else stage.model_dump(mode="json")
        self.master.send_message(STAGE, {"stage": schedule, "begin_ns": begin_ns})

    def warm(self, stage: Stage) -> bool:
        """Whether every user of this stage has done everything at least once."""
        return len(self._warm) >= stage.users

    def _is_warm(self, environment: Environment, msg: Message, **_: Any) -> None:
        self._warm.add(msg.data)

    def _is_listening(self, environment: Environment, msg: Message, **_: Any) -> None:
        self._listening.add(msg.data["process"])

    def ended(self) -> bool:
        """Say whether a process is gone; it is then in the history."""
        for index, pid in list(self._pids.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._pids[index]
                self._history.event("user_ended", process=index, status=status)
                return True
        return False

    def stop(self) -> None:
        """Let users finish what they began, within the plan's time, and end their processes."""
        self._announce(None)
        self.master.quit()
        self._reap(self._plan.profile.finish_s + 2)

    def kill(self) -> None:
        """End every process now; what they had begun stays without an outcome."""
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
        self._reap(5)

    def _reap(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        for index, pid in list(self._pids.items()):
            while os.waitpid(pid, os.WNOHANG)[0] == 0:
                if time.monotonic() > deadline:
                    os.kill(pid, signal.SIGKILL)
                gevent.sleep(0.02)
            del self._pids[index]
        self._scratch.cleanup()


def _fork(main: Callable[[], None], log: Path, scratch: str) -> int:
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
        for end in _PARENTS:
            os.close(end)
        gevent.sleep(0.01)  # gevent closes when its loop comes round
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
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


def _process(user_class: type[User], plan: Plan, history: History, index: int, port: int) -> None:
    with os.fdopen(port) as pipe:
        master_port = pipe.readline()
    if not master_port:
        return
    if not plan.computes:
        priority.raise_own()
    environment = Environment(user_classes=[user_class])
    process = Process(environment, history, plan, index)
    process.watch()
    user_class.process = process  # type: ignore[attr-defined]
    runner = environment.create_worker_runner("127.0.0.1", int(master_port))

    def take(environment: Environment, msg: Message, **_: Any) -> None:
        stage = msg.data["stage"]
        process.take(stage and Stage.model_validate(stage), msg.data["begin_ns"])

    runner.register_message(STAGE, take)
    runner.send_message(LISTENING, {"process": index})
    gevent.spawn(_sample, process, history, os.getppid())
    runner.greenlet.join()


def _sample(process: Process, history: History, parent: int) -> None:
    """Once a second: CPU seconds, of all and of calls alone, and the lag of the event loop in ms.

    Lag counts only while a call is waiting: that is what it adds to the call's time. A model fit
    between two calls blocks the loop too, and delays nothing.
    """
    cpu, call_cpu, since = time.process_time(), process.call_cpu_s, time.monotonic()
    lags: list[float] = []
    while os.getppid() == parent:
        waiting = set(process.in_flight)
        planned_ns = time.monotonic_ns() + int(LAG_INTERVAL_S * 1e9)
        gevent.sleep(LAG_INTERVAL_S)
        now_ns = time.monotonic_ns()
        if waiting & process.in_flight or (waiting and process.last_end_ns >= planned_ns):
            lags.append(round((now_ns - planned_ns) / 1e6, 2))
        if (now := now_ns / 1e9) - since >= SAMPLE_S:
            history.event(
                "sample",
                process=process.index,
                span_s=round(now - since, 4),
                cpu_s=round(time.process_time() - cpu, 4),
                call_cpu_s=round(process.call_cpu_s - call_cpu, 4),
                lag_ms=lags,
            )
            cpu, call_cpu, since = time.process_time(), process.call_cpu_s, now
            lags = []
    os._exit(1)
