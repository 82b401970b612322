"""The load generator: Locust's master here, its workers in processes of their own.

Users that compute, as trainers do, have a process each: autologging keeps its session in a variable
of the process, so of two users in one process one would log nothing; and a model fit then delays
nobody else's calls. Other users share the processes of the plan.
"""

import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent  # type: ignore[import-untyped]
from locust import User, runners
from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner

from workloads import CannotRunError
from workloads.history.history import History
from workloads.load import priority, retry_rule
from workloads.load.arrivals import arrivals
from workloads.load.backlog import Backlog, Sent
from workloads.load.call_recorder import CallRecorder
from workloads.load.process import END, STAGE, WARM, Process
from workloads.load.tickets import Tickets
from workloads.plan.plan import Load, Plan, Stage

if TYPE_CHECKING:
    from workloads.load.exports import Exports

# Locust stops the test when a worker is silent for 3 s, as in a long model fit. Here the parent
# sees a process that ends.
runners.HEARTBEAT_LIVENESS = 3600

LAG_INTERVAL_S = 0.01
SAMPLE_S = 1.0
START_S = 90.0
"""Longest time for processes and users to be ready."""
_PARENTS: list[int] = []
"""The parent's ends of pipes, closed in each process, which must see when the parent is gone."""

LISTENING = "listening"
"""Message of a process to the generator: it takes stages from now on. Locust counts a worker as
ready at its first message, and what is sent to it before this one is lost."""

AHEAD_S = 0.2
"""Time between the announcement of a schedule and its start."""


class Generator:
    """Users that wait for a stage; their processes are forked in the constructor.

    To be made before anything runs on the event loop, which a fork would copy. `connect` is next.
    """

    master: MasterRunner

    def __init__(self, user_class: type[User], plan: Plan, history: History, log: Path) -> None:
        self._plan = plan
        self._history = history
        self._user_class = user_class
        self._tickets = Tickets()
        self._backlog = Backlog(plan.processes)
        self._row = 0
        self._open: tuple[Stage, int] | None = None
        self._had_its_time = False
        self._warm: set[int] = set()
        self._listening: set[int] = set()
        # Users and the client leave files behind when their process ends.
        self._scratch = tempfile.TemporaryDirectory(
            prefix="mlflow-bench-", ignore_cleanup_errors=True
        )
        gc.collect()
        gc.freeze()  # no collector pauses of 0.1 s for what exists by now
        self._pids: dict[int, int] = {}
        self._ports: list[int] = []
        for index in range(plan.processes):
            port, end = os.pipe()
            self._ports.append(end)
            _PARENTS.append(end)
            self._pids[index] = _fork(
                lambda i=index, p=port: _process(  # type: ignore[misc]
                    user_class, plan, history, i, p, self._tickets, self._backlog
                ),
                log,
                self._scratch.name,
            )
            os.close(port)

    def connect(self) -> None:
        """Make the master and wait for all processes; raises `CannotRunError` if one is late."""
        self._environment = Environment(
            user_classes=[self._user_class], stop_timeout=self._plan.profile.finish_s
        )
        self.master = self._environment.create_master_runner("127.0.0.1", 0)
        self.master.register_message(WARM, self._add_warm)
        self.master.register_message(LISTENING, self._add_listening)
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
        """Begin a stage with its users and its schedule.

        Users that a closed load has already go on. Raises `CannotRunError` if users with a
        schedule are not ready in time.
        """
        closed = stage.load is Load.CLOSED
        self._announce(stage if closed else None)
        self.master.start(stage.users, spawn_rate=stage.users)
        if closed:
            return
        deadline = time.monotonic() + START_S
        while not self.is_warm(stage):
            if self.ended() or time.monotonic() > deadline:
                raise CannotRunError("users did not start: see users.log of the run")
            gevent.sleep(0.02)
        self._announce(stage)

    def _announce(self, stage: Stage | None) -> None:
        begin_ns = time.monotonic_ns() + int(AHEAD_S * 1e9)
        self._row += 1
        self._open = (stage, begin_ns) if stage and stage.load is Load.OPEN else None
        schedule = None if stage is None else stage.model_dump(mode="json")
        self.master.send_message(STAGE, {"stage": schedule, "begin_ns": begin_ns, "row": self._row})

    def drain(self) -> None:
        """End an open schedule: users still take the turns planned until now, within a time limit.

        Turns that nobody began are written to the history. Clients have the same time to send
        what they have not sent yet.
        """
        if self._open is None:
            return
        (stage, begin_ns), row = self._open, self._row
        self._had_its_time = False
        end_ns = time.monotonic_ns()
        self.master.send_message(END, {"end_ns": end_ns})
        schedule = arrivals(stage, begin_ns, self._plan.seed)
        due = list(takewhile(lambda planned_ns: planned_ns <= end_ns, schedule))
        deadline = time.monotonic() + self._plan.profile.finish_s
        while self._tickets.counts(row)[1] < len(due):
            self._had_its_time = time.monotonic() > deadline
            if self.ended() or self._had_its_time:
                break
            gevent.sleep(0.02)
        self._had_its_time |= self._wait_for_clients(deadline)
        self._announce(None)
        gevent.sleep(AHEAD_S)  # until every process knows
        started, _ = self._tickets.counts(row)
        if unserved := due[started:]:
            self._history.event("unserved", planned_ns=unserved)

    def _wait_for_clients(self, deadline: float) -> bool:
        """Wait until clients have sent everything; returns whether the time was over before."""
        while self._backlog.total() > 0:
            if self.ended() or time.monotonic() > deadline:
                return True
            gevent.sleep(0.02)
        return False

    def sent(self) -> Sent | None:
        """Return what clients have sent of traces so far; None if there is none."""
        sent = self._backlog.sent()
        return sent if any(sent) else None

    def is_warm(self, stage: Stage) -> bool:
        """Whether every user of the stage has done everything at least once."""
        return len(self._warm) >= stage.users

    def _add_warm(self, environment: Environment, msg: Message, **_: Any) -> None:
        self._warm.add(msg.data)

    def _add_listening(self, environment: Environment, msg: Message, **_: Any) -> None:
        self._listening.add(msg.data["process"])

    def ended(self) -> bool:
        """Whether a process has ended; the history then says which."""
        for index, pid in list(self._pids.items()):
            ended_pid, status = os.waitpid(pid, os.WNOHANG)
            if ended_pid:
                del self._pids[index]
                self._history.event("user_ended", process=index, status=status)
                return True
        return False

    def stop(self) -> None:
        """Let users finish, within the plan's time limit, and end their processes."""
        self.drain()
        self._announce(None)
        if not self._had_its_time:
            # A user of a closed load may have one more turn, whose traces are to be sent, too.
            deadline = time.monotonic() + self._plan.profile.finish_s
            self._had_its_time = self._wait_for_clients(deadline)
        self.master.quit()
        self._reap(2 + (0 if self._had_its_time else self._plan.profile.finish_s))

    def kill(self) -> None:
        """Kill every process; operations under way stay without an outcome."""
        for pid in self._pids.values():
            with suppress(ProcessLookupError):  # it ended by itself, as another one did
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
        # Ctrl-C is for the parent, which ends the users in order.
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


def _process(
    user_class: type[User],
    plan: Plan,
    history: History,
    index: int,
    port: int,
    tickets: Tickets,
    backlog: Backlog,
) -> None:
    with os.fdopen(port) as pipe:
        master_port = pipe.readline()
    if not master_port:
        return
    history.event("priority", process=index, nice=priority.reachable_nice())
    if not plan.computes:
        priority.raise_priority()
    if plan.client_rule:
        retry_rule.install()
    environment = Environment(user_classes=[user_class])
    process = Process(environment, history, plan, index, tickets)
    recorder = CallRecorder(process).install()
    from workloads.load.exports import Exports  # takes mlflow, which the master does without

    process.exports = Exports(process, backlog).install()
    user_class.process = process  # type: ignore[attr-defined]
    runner = environment.create_worker_runner("127.0.0.1", int(master_port))

    def take(environment: Environment, msg: Message, **_: Any) -> None:
        stage = msg.data["stage"]
        process.follow(stage and Stage.model_validate(stage), msg.data["begin_ns"], msg.data["row"])

    def end(environment: Environment, msg: Message, **_: Any) -> None:
        process.end(msg.data["end_ns"])

    runner.register_message(STAGE, take)
    runner.register_message(END, end)
    runner.send_message(LISTENING, {"process": index})
    gevent.spawn(_sample, index, recorder, process.exports, history, os.getppid())
    runner.greenlet.join()
    process.exports.finish()


def _sample(
    index: int, recorder: CallRecorder, exports: "Exports", history: History, parent: int
) -> None:
    """Record once a second the CPU seconds, in all and of calls, and the loop lag in ms.

    And the spans and tasks that clients have not sent yet.

    Lag counts only while a call is waiting, as it adds to the call's time. A model fit between two
    calls blocks the loop, too, and delays nothing.
    """
    cpu, call_cpu, since = time.process_time(), recorder.cpu_s, time.monotonic()
    lags: list[float] = []
    while os.getppid() == parent:
        waiting = set(recorder.in_flight)
        planned_ns = time.monotonic_ns() + int(LAG_INTERVAL_S * 1e9)
        gevent.sleep(LAG_INTERVAL_S)
        now_ns = time.monotonic_ns()
        if waiting & recorder.in_flight or (waiting and recorder.last_end_ns >= planned_ns):
            lags.append(round((now_ns - planned_ns) / 1e6, 2))
        if (now := now_ns / 1e9) - since >= SAMPLE_S:
            history.event(
                "sample",
                process=index,
                span_s=round(now - since, 4),
                cpu_s=round(time.process_time() - cpu, 4),
                call_cpu_s=round(recorder.cpu_s - call_cpu, 4),
                lag_ms=lags,
                unsent=exports.unsent,
            )
            cpu, call_cpu, since = time.process_time(), recorder.cpu_s, now
            lags = []
    os._exit(1)
