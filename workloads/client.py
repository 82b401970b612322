"""The real client, watched: every HTTP call that mlflow makes is timed and put in the history."""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gevent  # type: ignore[import-untyped]
import requests
from gevent.event import Event  # type: ignore[import-untyped]

from infra.outputs import REPLICA_HEADER
from workloads import wire
from workloads.errors import summary
from workloads.history import History, Write
from workloads.pace import Pace
from workloads.plan import Plan, Stage
from workloads.priority import WhileCalling

if TYPE_CHECKING:
    from locust.env import Environment

REJECTED = frozenset({401, 403, 404, 405, 413})
"""Answers given before anything is stored. A 400 is not one: the server also says it when its
connection pool is used up, halfway through a batch."""


WARM = "warm"
"""Message of a user to the generator: it has done everything at least once."""

STAGE = "stage"
"""Message of the generator to its processes: the schedule from now on."""


class Process:
    """One process of the load generator: what its users share."""

    def __init__(
        self, environment: "Environment", history: History, plan: Plan, index: int
    ) -> None:
        self.plan = plan
        self.index = index
        self.pace: Pace | None = None
        self.in_flight: set[str] = set()
        """Calls under way that are timed."""
        self.last_end_ns = 0
        self.call_cpu_s = 0.0
        self._environment = environment
        self.history = history
        self._entered = 0
        self._sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()
        self._only: Session | None = None
        self._changed = Event()
        # The processes of users that do not compute are before others all the time.
        self._calling = WhileCalling() if plan.computes else nullcontext()

    def enter(self) -> "Session":
        """Return the session of a new user; numbers are unique among all processes."""
        user = self.index + self._entered * self.plan.processes
        self._entered += 1
        session = Session(self, user)
        self._only = session
        return session

    def belongs_to(self, session: "Session") -> None:
        """Count the calls of the greenlet that asks as this user's."""
        self._sessions[gevent.getcurrent()] = session

    def take(self, stage: Stage | None, begin_ns: int) -> None:
        """Follow this stage's schedule from now on; None: let users wait for the next one."""
        self._note_unserved()
        self.pace = None
        if stage:
            self.pace = Pace(
                stage,
                begin_ns,
                seed=self.plan.seed,
                process=self.index,
                processes=self.plan.processes,
            )
        changed, self._changed = self._changed, Event()
        changed.set()

    def _note_unserved(self) -> None:
        """Write down which calls of an open schedule were due and never begun."""
        if self.pace and self.pace.planned:
            left = self.pace.overdue(time.monotonic_ns())
            if left:
                self.history.event("unserved", process=self.index, planned_ns=left)

    def due(self, user: int) -> int | None:
        """When this user's next call is planned, in ns; None: now, as the load is closed.

        Waits while there is no schedule, or it has ended.
        """
        while True:
            if self.pace and not self.pace.planned:
                return None
            if self.pace and (planned := self.pace.next(user)) is not None:
                return planned
            self._changed.wait()

    def warm(self, user: int) -> None:
        """Tell the generator that this user is warm."""
        if runner := self._environment.runner:
            runner.send_message(WARM, user)

    def watch(self) -> None:
        """Watch every call that `requests` makes in this process, for good."""
        send = requests.Session.request

        def request(session: requests.Session, method: str, url: str, **kwargs: Any) -> Any:
            with self._calling:
                return self._call(send, session, method, url, kwargs)

        requests.Session.request = request  # type: ignore[method-assign, assignment]

    def _call(self, send: Any, http: Any, method: str, url: str, kwargs: dict[str, Any]) -> Any:
        # Where a process has one user, calls of autologging's own threads are that user's too.
        session = self._sessions.get(gevent.getcurrent()) or self._only
        if session is None:
            return send(http, method, url, **kwargs)
        if url.startswith(self.plan.tracking_uri):
            path = wire.route(url)
            name = wire.name(method, path)
            writes = wire.writes(method, path, kwargs.get("json") or {}, kwargs.get("data"))
        else:  # the server sent the client to the artifact store itself
            path, name, writes = "", f"{method.upper()} artifact past the server", []
        background = not session.in_foreground
        op = session.next_op()
        response = None
        outcome = "info" if writes else "fail"
        ended: dict[str, Any] = {}
        if not background:  # those are not timed: what delays them is in no figure
            self.in_flight.add(op)
        began_ns = self.history.invoke(
            op,
            session.user,
            "call",
            name,
            step=session.step_op,
            background=background,
            writes=writes,
            **session.take_planned(),
        )
        cpu = time.process_time()
        try:
            response = send(http, method, url, **kwargs)
            cpu = time.process_time() - cpu
            ended["status"] = response.status_code
            if replica := response.headers.get(REPLICA_HEADER):
                ended["replica"] = replica
            ended["retries"] = [str(r.status or r.error) for r in response.raw.retries.history]
            if response.ok:
                outcome = "ok"
                ended["created"] = wire.created(path, response.content) if writes else None
            else:
                ended["error"] = f"HTTP {response.status_code}: {response.text[:300]}"
                if response.status_code in REJECTED and not ended["retries"]:
                    outcome = "fail"
        except BaseException as error:
            cpu = time.process_time() - cpu
            ended["error"] = summary(error)
            raise
        else:
            return response
        finally:
            if not background:
                self.call_cpu_s += cpu
            self.in_flight.discard(op)
            ended_ns = self.history.complete(outcome, op, **ended)
            if not background:
                self.last_end_ns = ended_ns
            self._environment.events.request.fire(  # type: ignore[no-untyped-call]
                request_type=method,
                name=name.split(" ", 1)[1],
                response_time=(ended_ns - began_ns) / 1e6,
                response_length=0,
                exception=None if outcome == "ok" else ended.get("error"),
                context={},
            )


class Session:
    """One user: its random numbers, its place in the history."""

    def __init__(self, process: Process, user: int) -> None:
        self.process = process
        self.user = user
        self.experiment_id = process.plan.experiment_id
        self.random = random.Random(f"{process.plan.seed}/{user}")  # noqa: S311 - repeatable
        self.step_op: str | None = None
        self._planned: dict[str, Any] = {}
        self._foreground: Any = None
        self._count = 0
        self._warm = False

    @property
    def in_foreground(self) -> bool:
        """Whether the greenlet that asks is the user, and not one that runs beside it."""
        return gevent.getcurrent() is self._foreground

    def begin(self) -> None:
        """Say that the greenlet that asks is this user."""
        self._foreground = gevent.getcurrent()
        self.process.belongs_to(self)

    @contextmanager
    def step(
        self, name: str, size: int | None = None, writes: list[Write] | None = None
    ) -> Iterator[str]:
        """Time one whole step; gives a token for the run that it creates.

        An exception of the step becomes its outcome and goes no further: the next one follows,
        as at a team where one training fails. `size` is the bytes that the step moves, `writes`
        what it wants kept beyond what its calls to the server say.
        """
        history = self.process.history
        self.step_op = op = self.next_op()
        history.invoke(op, self.user, "step", name, size=size, writes=writes)
        try:
            yield self.token()
        except Exception as error:
            history.complete("fail", op, error=summary(error))
        except BaseException as error:
            history.complete("info", op, error=summary(error))
            raise
        else:
            history.complete("ok", op)
        finally:
            self.step_op = None

    def wrong(self, what: str) -> None:
        """Note that an answer was not the right one, as a step that failed."""
        with self.step("wrong answer"):
            raise AssertionError(what)

    def token(self) -> str:
        """Return a new name that no other user of any run with another seed draws."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def plan_call(self, planned_ns: int | None, *, queued: bool) -> None:
        """Say when this user's next call was planned, and if no user was free then."""
        self._planned = {} if planned_ns is None else {"planned_ns": planned_ns, "queued": queued}

    def take_planned(self) -> dict[str, Any]:
        """What was planned for the call that begins now: of several calls only the first."""
        planned, self._planned = self._planned, {}
        return planned

    def warm(self) -> None:
        """Tell the generator, once, that this user has done everything at least once."""
        if not self._warm:
            self._warm = True
            self.process.warm(self.user)

    def next_op(self) -> str:
        """Return a new id for an operation."""
        self._count += 1
        return f"{self.user}.{self._count}"
