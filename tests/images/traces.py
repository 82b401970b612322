"""Spans and traces as clients send them, and a pair of replicas that take them."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import requests
from docker.models.containers import Container
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.images.sandbox import PASSWORD, Postgres, wait_until

Answer = requests.Response

AGENT_ATTRIBUTES = {
    "session.id": "a session",
    "user.id": "a user",
    "mlflow.chat.tokenUsage": '{"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}',
    "mlflow.spanInputs": '"a question"',
    "mlflow.spanOutputs": '"an answer"',
}
"""What a span of an agent has, so that a server writes to every table that traces have."""


def new_trace() -> str:
    """Return the 32 hex digits of a trace; the server's id of it is `tr-` and these."""
    return secrets.token_hex(16)


@dataclass
class Batch:
    """Spans for one request, as OpenTelemetry's protocol has them."""

    request: ExportTraceServiceRequest = field(default_factory=ExportTraceServiceRequest)

    def add(
        self,
        trace: str,
        span: str | None = None,
        *,
        parent: str = "",
        name: str = "work",
        times: tuple[int, int] | None = None,
        attributes: dict[str, str | int | float] | None = None,
    ) -> "Batch":
        """Add a span; ids are hex digits, `times` start and end in ns."""
        if not self.request.resource_spans:
            self.request.resource_spans.add().scope_spans.add()
        added = self.request.resource_spans[0].scope_spans[0].spans.add()
        added.trace_id = bytes.fromhex(trace)
        added.span_id = bytes.fromhex(span or secrets.token_hex(8))
        added.parent_span_id = bytes.fromhex(parent)
        added.name = name
        now = time.time_ns()
        added.start_time_unix_nano, added.end_time_unix_nano = times or (now - 10**6, now)
        for key, value in (attributes or {}).items():
            attribute = added.attributes.add()
            attribute.key = key
            kind = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
            setattr(attribute.value, kind, value)
        return self


@dataclass
class Server:
    """One tracking server, by its address on this machine."""

    container: Container

    def __post_init__(self) -> None:
        self._session = requests.Session()
        self._session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))

    @property
    def url(self) -> str:
        """Its address; another one after each start."""
        self.container.reload()
        ports: Any = self.container.ports
        return f"http://127.0.0.1:{ports['5000/tcp'][0]['HostPort']}"

    def call(self, method: str, path: str, **options: Any) -> Answer:
        return self._session.request(method, self._url + path, timeout=120, **options)

    def wait(self) -> "Server":
        """Wait until it serves."""
        self._url = self.url
        wait_until(self._serves, 180, "the server answers")
        return self

    def _serves(self) -> bool:
        try:
            return self.call("GET", "/version").ok
        except requests.ConnectionError:
            return False

    def close(self) -> None:
        self._session.close()

    def post(self, path: str, **content: Any) -> Answer:
        return self.call("POST", path, json=content)

    def spans(self, batch: Batch, experiment: str = "0", **headers: str) -> Answer:
        return self.call(
            "POST",
            "/v1/traces",
            data=batch.request.SerializeToString(),
            headers={
                "content-type": "application/x-protobuf",
                "x-mlflow-experiment-id": experiment,
                **headers,
            },
        )

    def info(self, trace: str, experiment: str = "0", **fields: Any) -> Answer:
        """Tell what the client knows of a trace, as it does at the trace's end."""
        place = {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": experiment},
        }
        told = {
            "trace_id": f"tr-{trace}",
            "trace_location": place,
            "request_time": "2026-11-28T20:00:00Z",
            "execution_duration": "0.5s",
            "state": "OK",
            **fields,
        }
        return self.post("/api/3.0/mlflow/traces", trace={"trace_info": told})

    def tag(self, trace: str, key: str, value: str) -> Answer:
        path = f"/api/3.0/mlflow/traces/tr-{trace}/tags"
        return self.call("PATCH", path, json={"key": key, "value": value})

    def trace(self, trace: str) -> Answer:
        return self.call("GET", "/api/3.0/mlflow/traces/get", params={"trace_id": f"tr-{trace}"})

    def delete(self, *traces: str) -> Answer:
        ids = [f"tr-{trace}" for trace in traces]
        path = "/api/3.0/mlflow/traces/delete-traces"
        return self.post(path, experiment_id="0", request_ids=ids)

    def link(self, run: str, *traces: str) -> Answer:
        path = "/api/2.0/mlflow/traces/link-to-run"
        return self.post(path, run_id=run, trace_ids=[f"tr-{trace}" for trace in traces])

    def new_run(self) -> str:
        created = self.post("/api/2.0/mlflow/runs/create", experiment_id="0").json()
        return str(created["run"]["info"]["run_id"])

    def new_experiment(self) -> str:
        name = secrets.token_hex(8)
        created = self.post("/api/2.0/mlflow/experiments/create", name=name).json()
        return str(created["experiment_id"])


def statuses(answers: Sequence[Answer]) -> dict[int, int]:
    """Count answers by status, for comparisons that show what differs."""
    found = [answer.status_code for answer in answers]
    return {status: found.count(status) for status in sorted(set(found))}


def at_once(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Make all calls at the same moment, each in a thread of its own."""
    start = threading.Barrier(len(calls))

    def begin(call: Callable[[], Answer]) -> Answer:
        start.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(begin, calls))


class Tables:
    """MLflow's tables of traces, and transactions beside those of the servers."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    def one(self, query: str) -> str:
        return self._postgres.sql(query)

    def count(self, table: str, traces: Sequence[str], column: str = "trace_id") -> int:
        ids = ", ".join(f"'tr-{trace}'" for trace in traces)
        return int(self.one(f"SELECT count(*) FROM {table} WHERE {column} IN ({ids})"))

    def deadlocks(self) -> int:
        query = "SELECT deadlocks FROM pg_stat_database WHERE datname = 'mlflow'"
        return int(self.one(query))

    def wait_for_waiting(self, writers: int) -> None:
        """Wait until so many transactions wait for a row of another's."""
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
        wait_until(lambda: int(self.one(query)) >= writers, 30, f"{writers} wait for a row")

    @contextmanager
    def other(self) -> Iterator[Any]:
        """Open a transaction of another client, rolled back at the end unless it is committed."""
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self._postgres.port,
            user="mlflow",
            password=PASSWORD,
            dbname="mlflow",
        )
        try:
            yield connection
        finally:
            connection.close()


def begin_trace(connection: Any, trace: str) -> None:
    """Write the row of a trace, as a server does in the middle of its transaction."""
    connection.cursor().execute(
        "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, status)"
        " VALUES (%s, 0, 1, 'IN_PROGRESS')",
        (f"tr-{trace}",),
    )


def message(answer: Answer) -> str:
    """Return what an answer says is the matter."""
    said: Any = json.loads(answer.text)
    return str(said.get("message", said.get("detail")))
