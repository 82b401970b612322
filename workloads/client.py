"""The real client, watched: every HTTP call that mlflow makes is timed and put in the history."""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gevent  # type: ignore[import-untyped]
import requests

from workloads import wire
from workloads.errors import summary
from workloads.history import History

if TYPE_CHECKING:
    from locust.env import Environment

REJECTED = frozenset({401, 403, 404, 405, 413})
"""Answers given before anything is stored. A 400 is not one: the server also says it when its
connection pool is used up, halfway through a batch."""


WARM = "warm"
"""Message of a user to the generator."""


class Session:
    """One user: its place in the history, its random numbers, its watched calls."""

    def __init__(
        self, environment: "Environment", history: History, user: int, seed: int, experiment_id: str
    ) -> None:
        self.user = user
        self.experiment_id = experiment_id
        self.random = random.Random(f"{seed}/{user}")  # noqa: S311 - to be repeatable
        self.in_flight: set[str] = set()
        self.last_end_ns = 0
        self.call_cpu_s = 0.0
        self._environment = environment
        self._history = history
        self._foreground: Any = None
        self._step: str | None = None
        self._count = 0
        self._warm = False

    @contextmanager
    def step(self, name: str) -> Iterator[str]:
        """Time one whole training step; gives a token for the run that it creates.

        An exception of the step becomes its outcome and goes no further: the next one follows,
        as at a team where one training fails.
        """
        self._foreground = gevent.getcurrent()
        self._step = op = self._next()
        self._history.invoke(op, self.user, "step", name)
        try:
            yield str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        except Exception as error:
            self._history.complete("fail", op, error=summary(error))
        except BaseException as error:
            self._history.complete("info", op, error=summary(error))
            raise
        else:
            self._history.complete("ok", op)

    def warm(self) -> None:
        """Tell the generator, once, that this user has done everything at least once."""
        runner = self._environment.runner
        if runner and not self._warm:
            self._warm = True
            runner.send_message(WARM, self.user)

    def watch(self) -> None:
        """Watch every call that `requests` makes in this process, for good."""
        send = requests.Session.request

        def request(session: requests.Session, method: str, url: str, **kwargs: Any) -> Any:
            return self._call(send, session, method, url, kwargs)

        requests.Session.request = request  # type: ignore[method-assign, assignment]

    def _call(self, send: Any, http: Any, method: str, url: str, kwargs: dict[str, Any]) -> Any:
        path = wire.route(url)
        name = wire.name(method, path)
        writes = wire.writes(method, path, kwargs.get("json") or {}, kwargs.get("data"))
        background = gevent.getcurrent() is not self._foreground
        op = self._next()
        response = None
        outcome = "info" if writes else "fail"
        ended: dict[str, Any] = {}
        self.in_flight.add(op)
        began_ns = self._history.invoke(
            op,
            self.user,
            "call",
            name,
            step=self._step,
            background=background,
            writes=writes,
        )
        cpu = time.process_time()
        try:
            response = send(http, method, url, **kwargs)
            cpu = time.process_time() - cpu
            ended["status"] = response.status_code
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
            self.last_end_ns = self._history.complete(outcome, op, **ended)
            self._environment.events.request.fire(  # type: ignore[no-untyped-call]
                request_type=method,
                name=name.split(" ", 1)[1],
                response_time=(self.last_end_ns - began_ns) / 1e6,
                response_length=len(response.content) if response is not None else 0,
                exception=None if outcome == "ok" else ended.get("error"),
                context={"user": self.user},
            )

    def _next(self) -> str:
        self._count += 1
        return f"{self.user}.{self._count}"
