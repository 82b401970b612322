"""Probes of a stack under faults: one for each path through it, each on its own, without retries.

The client's own retries hide how long a server was away (a second looks like five), and one path
hides another: metadata is read while no file is stored. So this asks beside the client, on each
path at a rate of its own. Probes are sent when they are due, whether or not earlier ones were
answered: one that hangs hides nothing. Each has a connection of its own.

What probes write is in the history as operations of the kind `probe`, and is read back with all
the rest: one that was acknowledged and is lost is found. No user waited for them: they are in no
figure of the load.
"""

import gc
import hashlib
import random
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import gevent  # type: ignore[import-untyped]
import requests

from infra.outputs import REPLICA_HEADER
from workloads import error_summary
from workloads.history import effects, wire
from workloads.history.history import History
from workloads.load import priority
from workloads.load.call_recorder import REJECTED
from workloads.observation.child_process import ChildProcess
from workloads.plan.plan import Plan
from workloads.target.http_options import http_options
from workloads.target.probe_paths import RATES, ProbePath

PATIENCE_S = 10.0
"""After this a probe has failed."""

WRITE_S = 1.0
RUNS = 4
"""Runs that probes log to in turn: what a lost server has locked is one run's trouble."""

FILE_BYTES = 4096

Send = Callable[[], str | None]
"""Sends a probe, and returns what went wrong."""


class Probe(ChildProcess):
    """Probes from `start` on.

    Leaves a line a second for each path in the history: `[sent in ns, ms, error]` of each probe.
    """

    def __init__(self, plan: Plan, history: History) -> None:
        super().__init__(lambda parent_runs: _probe(Prober(plan, history), history, parent_runs))


class Prober:
    """What is sent on each path; runs of its own hold what is written, the first one the files."""

    def __init__(self, plan: Plan, history: History) -> None:
        self._plan = plan
        self._history = history
        self._user = plan.profile.users  # the users of the load count from 0
        self._random = random.Random(f"{plan.seed}/probe")  # noqa: S311 - repeatable
        self._api = f"{plan.tracking_uri}/api/2.0/mlflow"
        self._folder = ""
        self._runs: deque[str] = deque()
        self._sent = 0
        self._stored: list[str] = []
        self._number = 0

    def prepare(self) -> dict[ProbePath, Send]:
        """Make the runs and a file; returns what can be probed, and notes what cannot."""
        sends: dict[ProbePath, Send] = {ProbePath.READ: self._read}
        try:
            begun = [self._begin() for _ in range(RUNS)]
            self._runs.extend(run_id for run_id, _ in begun)
            place = begun[0][1]
            sends[ProbePath.WRITE] = self._write
            if urlsplit(place).scheme != "mlflow-artifacts":
                raise LookupError(f"files do not pass through this server, but go to {place}")
            self._folder = urlsplit(place).path.strip("/")
            if error := self._put():
                raise LookupError(f"it takes no file: {error}")
            sends |= {ProbePath.PUT: self._put, ProbePath.GET: self._get}
        except (requests.RequestException, LookupError) as error:
            missing = ", ".join(path for path in ProbePath if path not in sends)
            why = str(error) if isinstance(error, LookupError) else error_summary(error)
            self._history.event("not_done", said=f"not probed: {missing}: {why}")
        return sends

    def _begin(self) -> tuple[str, str]:
        """Create a run; returns its id and the address of its artifacts."""
        token = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        body = {
            "experiment_id": self._plan.experiment_id,
            "run_name": "probes",
            "start_time": int(time.time() * 1000),
            "tags": [{"key": wire.TOKEN_TAG, "value": token}],
        }
        answer = self._kept("POST", f"{self._api}/runs/create", json=body)
        answer.raise_for_status()
        info = answer.json()["run"]["info"]
        return info["run_id"], info["artifact_uri"]

    def _read(self) -> str | None:
        experiment = {"experiment_id": self._plan.experiment_id}
        return _refused(self._send("GET", f"{self._api}/experiments/get", params=experiment))

    def _write(self) -> str | None:
        self._number += 1
        point = {"key": "probe", "value": self._number, "step": self._number}
        metric = point | {"timestamp": int(time.time() * 1000)}
        body = {"run_id": self._runs[0], "metrics": [metric], "params": [], "tags": []}
        self._runs.rotate(-1)
        return _refused(self._kept("POST", f"{self._api}/runs/log-batch", json=body))

    def _put(self) -> str | None:
        self._number += 1
        name = f"{self._number}.bin"
        error = _refused(self._kept("PUT", self._file(name), data=_content(name)))
        if error is None:
            self._stored.append(name)
        return error

    def _get(self) -> str | None:
        name = self._random.choice(self._stored)
        answer = self._send("GET", self._file(name))
        if answer.ok and answer.content != _content(name):
            self._wrong(f"{name} in {self._folder} has other bytes than were stored")
            return "wrong content"
        return _refused(answer)

    def _file(self, name: str) -> str:
        return f"{self._api}-artifacts/artifacts/{self._folder}/{name}"

    def _kept(self, method: str, url: str, **content: Any) -> requests.Response:
        """Send what asks for something to be kept, as an operation of the history."""
        path = wire.route(url)
        asked = effects.asked(method, path, content.get("json", {}), content.get("data"))
        op = self._next_op()
        name = f"probe: {wire.name(method, path)}"
        self._history.invoke(op, self._user, "probe", name, writes=asked.writes)
        outcome, ended = "info", dict[str, Any]()
        try:
            answer = self._send(method, url, **content)
            ended = {"status": answer.status_code, "replica": answer.headers.get(REPLICA_HEADER)}
            if answer.ok:
                outcome, ended["created"] = "ok", wire.created(path, answer.content)
            else:
                outcome = "fail" if answer.status_code in REJECTED else "info"
                ended["error"] = f"HTTP {answer.status_code}: {answer.text[:300]}"
            return answer
        except requests.RequestException as error:
            ended["error"] = error_summary(error)
            raise
        finally:
            self._history.complete(outcome, op, **ended)

    def _wrong(self, what: str) -> None:
        """Note an answer that was not the right one."""
        op = self._next_op()
        self._history.invoke(op, self._user, "probe", "probe: GET artifact")
        self._history.complete("fail", op, error=what, wrong=True)

    def _next_op(self) -> str:
        self._sent += 1
        return f"probe.{self._sent}"

    def _send(self, method: str, url: str, **content: Any) -> requests.Response:
        """Send it and read the whole answer, within the patience."""
        with gevent.Timeout(PATIENCE_S, requests.ReadTimeout("no whole answer in time")):
            return requests.request(
                method,
                url,
                timeout=PATIENCE_S,
                **http_options(),
                headers={"Connection": "close"},
                **content,
            )


def _probe(prober: Prober, history: History, parent_runs: Callable[[], bool]) -> None:
    priority.raise_priority()
    gc.freeze()
    looks: dict[ProbePath, list[list[Any]]] = defaultdict(list)
    for path, send in prober.prepare().items():
        gevent.spawn(_go_on, send, 1 / RATES[path], looks[path])
    while parent_runs():
        gevent.sleep(WRITE_S)
        for path, own in looks.items():
            history.event("probe", path=path.value, looks=own[:])
            own.clear()


def _go_on(send: Send, every_s: float, looks: list[list[Any]]) -> None:
    """Send a probe whenever one is due, until the process ends."""
    due = time.monotonic()
    while True:
        gevent.spawn(_look, send, looks)
        due += every_s
        gevent.sleep(max(0.0, due - time.monotonic()))


def _look(send: Send, looks: list[list[Any]]) -> None:
    sent = time.monotonic_ns()
    try:
        error = send()
    except requests.RequestException as failed:
        error = type(failed).__name__
    looks.append([sent, round((time.monotonic_ns() - sent) / 1e6, 1), error])


def _refused(answer: requests.Response) -> str | None:
    return None if answer.ok else f"HTTP {answer.status_code}"


def _content(name: str) -> bytes:
    """Bytes of a file that follow from its name: what is fetched can be compared."""
    return hashlib.sha256(name.encode()).digest() * (FILE_BYTES // 32)
