"""Every HTTP call of the real client, timed and written to the history."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import requests

from infra.outputs import REPLICA_HEADER
from workloads import error_summary
from workloads.history import effects, sightings, wire
from workloads.history.effects import Asked
from workloads.history.sightings import Sighting
from workloads.load.errand import Held
from workloads.load.priority import PriorityWhileCalling
from workloads.load.process import Process

REJECTED = frozenset({401, 403, 404, 405, 413})
"""Answers given before anything is stored. 400 is not one: the server also sends it when its
connection pool is exhausted halfway through a batch."""


class CallRecorder:
    """Records the calls of a generator process."""

    def __init__(self, process: Process) -> None:
        self.in_flight: set[str] = set()
        """Timed calls under way."""
        self.last_end_ns = 0
        self.cpu_s = 0.0
        """CPU time of timed calls."""
        self._process = process
        # Processes of users that do not compute have their priority all the time.
        self._calling = PriorityWhileCalling() if process.plan.computes else nullcontext()

    def install(self) -> "CallRecorder":
        """Record every call that `requests` makes in this process, for good."""
        send = requests.Session.request

        def request(session: requests.Session, method: str, url: str, **kwargs: Any) -> Any:
            with self._calling:
                return self._record(send, session, method, url, kwargs)

        requests.Session.request = request  # type: ignore[method-assign, assignment]
        submit = ThreadPoolExecutor.submit

        def submit_for_user(
            pool: ThreadPoolExecutor, task: Callable[..., Any], /, *args: Any, **kwargs: Any
        ) -> "Future[Any]":
            """Attribute a task of the client's own pools to the user who submits it."""
            if (session := self._process.current_session()) is None:
                return submit(pool, task, *args, **kwargs)

            def run() -> Any:
                self._process.attribute_calls_to(session)
                return task(*args, **kwargs)

            return submit(pool, run)

        ThreadPoolExecutor.submit = submit_for_user  # type: ignore[method-assign, assignment]
        return self

    def _record(
        self, send: Any, http_session: Any, method: str, url: str, kwargs: dict[str, Any]
    ) -> Any:
        session = self._process.current_session()
        if session is None:
            return send(http_session, method, url, **kwargs)
        if url.startswith(self._process.plan.tracking_uri):
            path = wire.route(url)
            name = wire.name(method, path)
            headers = {**http_session.headers, **(kwargs.get("headers") or {})}
            request = effects.asked(
                method, path, kwargs.get("json") or {}, kwargs.get("data"), headers
            )
        else:  # the server sent the client to the artifact store itself
            path, name = "", f"{method.upper()} artifact past the server"
            request = Asked(not_audited=[] if method.upper() == "GET" else [name])
        history = self._process.history
        timed = session.in_foreground  # delays of others are in no figure
        held, session.held = session.held, None
        op = held.op if held else session.next_op()  # the same call, sent again
        response = None
        outcome = "info" if request.changes else "fail"
        ended: dict[str, Any] = {}
        if timed:
            self.in_flight.add(op)
        began_ns = (
            held.began_ns
            if held
            else history.invoke(
                op,
                session.user,
                "call",
                name,
                step=session.step_op,
                background=not timed,
                exporter=session.exporter,
                writes=request.writes,
                # A step's own writes are audited, whatever calls they take.
                not_audited=[] if session.step_writes else request.not_audited,
                **session.planned(),
            )
        )
        cpu = time.process_time()
        try:
            response = send(http_session, method, url, **kwargs)
            at_ns, cpu = time.monotonic_ns(), time.process_time() - cpu
            ended["status"] = response.status_code
            if replica := response.headers.get(REPLICA_HEADER):
                ended["replica"] = replica
            again = [str(r.status or r.error) for r in response.raw.retries.history]
            ended["retries"] = [*(held.retries if held else []), *again]
            if response.ok:
                outcome = "ok"
                if request.writes:
                    ended["created"] = wire.created(path, response.content)
            else:
                ended["error"] = f"HTTP {response.status_code}: {response.text[:300]}"
                if response.status_code in REJECTED and not ended["retries"]:
                    outcome = "fail"
            if not request.changes and (shown := self._sightings(name, path, kwargs, response)):
                ended["saw"] = shown
        except BaseException as error:
            if response is None:
                at_ns, cpu = time.monotonic_ns(), time.process_time() - cpu
            ended["error"] = error_summary(error)
            raise
        else:
            return response
        finally:
            session.answered = name if outcome == "ok" else None
            self.in_flight.discard(op)
            if held:
                ended.setdefault("retries", held.retries)
            if timed:
                self.cpu_s += cpu
                self.last_end_ns = at_ns
            if outcome != "ok" and session.retries:
                session.held = Held(op, began_ns, outcome, at_ns, ended)
            else:
                history.complete(outcome, op, at_ns, **ended)
                self._process.environment.events.request.fire(  # type: ignore[no-untyped-call]
                    request_type=method,
                    name=name.split(" ", 1)[1],
                    response_time=(at_ns - began_ns) / 1e6,
                    response_length=0,
                    exception=None if outcome == "ok" else ended.get("error"),
                    context={},
                )

    def _sightings(
        self, name: str, path: str, kwargs: dict[str, Any], response: Any
    ) -> list[Sighting]:
        """What an answer showed; a streamed one is left to its reader."""
        if not sightings.looks_at(name):
            return []
        parameters = kwargs.get("params") or kwargs.get("json") or {}
        return sightings.seen(
            name,
            sightings.asked(name, path, parameters),
            response.status_code,
            response.content,
            self._process.plan.experiment_id,
        )
