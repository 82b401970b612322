"""Known troubles of traces on PostgreSQL, on two replicas as a stack has them.

What we promise is asserted; a trouble of MLflow that stays is asserted as docs/traces.md tells it.
Where the server's own classes mend one, the same is tried on `plain`, MLflow's server without
them: if that passes, the class is of no use any more.
"""

import random
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import pytest

from infra.components.capacity import capacity
from infra.components.server import ArtifactFolder, Database, TrackingServer
from tests.images.sandbox import Postgres, Sandbox, ends, logs, wait_until
from tests.images.traces import (
    AGENT_ATTRIBUTES,
    Batch,
    Server,
    Tables,
    at_once,
    begin_trace,
    message,
    new_trace,
    statuses,
)

pytestmark = pytest.mark.plugins

ARTIFACTS = PurePosixPath("/var/lib/mlflow/artifacts")
SIZES = capacity(replicas=2, workers=1, jobs=False)
STACK = TrackingServer(
    database=Database(host="traces", port=5432, name="mlflow", user="mlflow"),
    artifacts=ArtifactFolder(ARTIFACTS),
    capacity=SIZES,
    port=5000,
    workers=1,
    allowed_hosts=(),
    jobs=False,
)

CONFLICTS_OF_MLFLOW = 10
"""How often MLflow begins a batch again before it leaves spans out."""


@pytest.fixture(scope="module")
def postgres(sandbox: Sandbox, postgres_image: str) -> Postgres:
    connections = f"max_connections={SIZES.max_connections + 60}"
    postgres = Postgres(sandbox, postgres_image, "-c", connections, hostname="traces")
    wait_until(postgres.is_ready, 120, "PostgreSQL is ready")
    return postgres


@pytest.fixture(scope="module")
def tables(postgres: Postgres) -> Tables:
    return Tables(postgres)


@pytest.fixture(scope="module")
def servers(sandbox: Sandbox, postgres: Postgres, mlflow_image: str) -> Iterator[list[Server]]:
    """Two replicas of a stack, and MLflow's own server beside them on the same database."""
    status, output = ends(sandbox.run(mlflow_image, STACK.schema_job_command()), 120)
    assert status == 0, output
    commands = [STACK.command(), STACK.command()]
    commands.append([part for part in commands[0] if not part.startswith("--app-name")])
    servers = [
        Server(
            sandbox.run(
                mlflow_image,
                command,
                environment=STACK.environment(),
                ports={"5000/tcp": ("127.0.0.1", None)},
            )
        )
        for command in commands
    ]
    yield [server.wait() for server in servers]
    for server in servers:
        server.close()


@pytest.fixture
def a(servers: list[Server]) -> Server:
    return servers[0]


@pytest.fixture
def b(servers: list[Server]) -> Server:
    return servers[1]


@pytest.fixture
def plain(servers: list[Server]) -> Server:
    return servers[2]


def test_many_writers_of_new_traces_lose_nothing(a: Server, b: Server, tables: Tables) -> None:
    """Deadlocks and unique violations (mlflow#24332, #21721, #23244): 50 writers, both replicas."""
    traces = [new_trace() for _ in range(60)]
    calls = []
    for trace in traces:
        for index in range(3):
            parent = "" if index == 0 else "ab" * 8
            batch = Batch().add(trace, parent=parent, attributes={**AGENT_ATTRIBUTES})
            calls.append(partial(random.choice((a, b)).spans, batch))
        metadata = {"mlflow.trace.user": "a user", "one": "1", "two": "2"}
        calls.append(
            partial(random.choice((a, b)).info, trace, trace_metadata=metadata, tags={"x": "1"})
        )
    random.shuffle(calls)
    with ThreadPoolExecutor(50) as writers:
        answers = list(writers.map(lambda call: call(), calls))
    assert statuses(answers) == {200: 240}
    assert tables.count("spans", traces) == 180
    assert tables.count("trace_tags", traces, "request_id") >= 60


def left_out(server: Server, tables: Tables) -> tuple[int, int]:
    """Send a batch whose first traces others begin meanwhile; return its status and rows lost."""
    traces = sorted(new_trace() for _ in range(CONFLICTS_OF_MLFLOW + 1))
    batch = Batch()
    for trace in traces:
        batch.add(trace)
    others = [tables.other() for _ in range(CONFLICTS_OF_MLFLOW)]
    connections = [other.__enter__() for other in others]
    try:
        for connection, trace in zip(connections, traces, strict=False):
            begin_trace(connection, trace)
        with ThreadPoolExecutor(1) as sender:
            sent = sender.submit(server.spans, batch)
            for connection in connections:
                tables.wait_for_waiting(1)
                connection.commit()
            answer = sent.result()
    finally:
        for other in others:
            other.__exit__(None, None, None)
    return answer.status_code, len(traces) - tables.count("spans", traces)


def test_a_batch_that_meets_others_is_stored_whole(a: Server, tables: Tables) -> None:
    assert left_out(a, tables) == (200, 0)


def test_mlflow_leaves_spans_out_and_acknowledges_them(plain: Server, tables: Tables) -> None:
    """The control."""
    assert left_out(plain, tables) == (200, 1)
    assert "spans for these traces will be dropped" in logs(plain.container)


def cross(first: Server, second: Server, tables: Tables) -> tuple[dict[int, int], int]:
    """Send two batches with the same new traces, back and forth; return statuses and deadlocks.

    Each has a trace in the middle whose row another holds, so that both have begun by then.
    """
    one, low, high, two = sorted(new_trace() for _ in range(4))
    forth = Batch().add(one).add(low).add(two)
    back = Batch().add(two).add(high).add(one)
    held = [low, high]
    before = tables.deadlocks()
    with tables.other() as connection, ThreadPoolExecutor(2) as senders:
        for trace in held:
            begin_trace(connection, trace)
        sent = [senders.submit(first.spans, forth), senders.submit(second.spans, back)]
        tables.wait_for_waiting(2)
        connection.rollback()
        answers = [one.result() for one in sent]
    assert tables.count("spans", [one, two, *held]) == 6
    wait_for_statistics(tables)
    return statuses(answers), tables.deadlocks() - before


def wait_for_statistics(tables: Tables) -> None:
    """Have what other sessions counted by now be seen: they tell it once a second."""
    tables.one("SELECT pg_sleep(1.1)")


def test_batches_of_the_same_new_traces_do_not_deadlock(
    a: Server, b: Server, tables: Tables
) -> None:
    assert cross(a, b, tables) == ({200: 2}, 0)
    traces = [new_trace() for _ in range(20)]
    before = tables.deadlocks()
    calls = []
    for _ in range(16):
        batch = Batch()
        for trace in random.sample(traces, len(traces)):
            batch.add(trace, parent="ab" * 8, attributes={**AGENT_ATTRIBUTES})
        calls.append(partial(random.choice((a, b)).spans, batch))
    assert statuses(at_once(calls)) == {200: 16}
    assert tables.count("spans", traces) == 16 * 20
    wait_for_statistics(tables)
    assert tables.deadlocks() == before


def test_mlflow_s_batches_deadlock(plain: Server, tables: Tables) -> None:
    """The control: two are done again, and succeed; of thirty, 29 were refused."""
    assert cross(plain, plain, tables) == ({200: 2}, 1)


def tag_beside_another(server: Server, tables: Tables) -> int:
    trace = new_trace()
    assert server.spans(Batch().add(trace)).ok
    with tables.other() as connection, ThreadPoolExecutor(1) as sender:
        connection.cursor().execute(
            "INSERT INTO trace_tags (request_id, key, value) VALUES (%s, 'mood', 'theirs')",
            (f"tr-{trace}",),
        )
        sent = sender.submit(server.tag, trace, "mood", "ours")
        tables.wait_for_waiting(1)
        connection.commit()
        answer = sent.result()
    value = tables.one(
        f"SELECT value FROM trace_tags WHERE request_id = 'tr-{trace}' AND key = 'mood'"
    )
    assert value == ("ours" if answer.ok else "theirs")
    return answer.status_code


def test_a_tag_that_two_set_at_once(a: Server, b: Server, plain: Server, tables: Tables) -> None:
    assert tag_beside_another(a, tables) == 200
    assert tag_beside_another(plain, tables) == 400
    trace = new_trace()
    assert a.spans(Batch().add(trace)).ok
    calls = [partial(random.choice((a, b)).tag, trace, "mood", str(n)) for n in range(30)]
    assert statuses(at_once(calls)) == {200: 30}


def link_beside_another(server: Server, tables: Tables) -> int:
    trace, run = new_trace(), server.new_run()
    assert server.spans(Batch().add(trace)).ok
    with tables.other() as connection, ThreadPoolExecutor(1) as sender:
        connection.cursor().execute(
            "INSERT INTO entity_associations (association_id, source_type, source_id,"
            " destination_type, destination_id) VALUES (%s, 'trace', %s, 'run', %s)",
            (secrets.token_hex(16), f"tr-{trace}", run),
        )
        sent = sender.submit(server.link, run, trace)
        tables.wait_for_waiting(1)
        connection.commit()
        answer = sent.result()
    assert tables.count("entity_associations", [trace], "source_id") == 1
    return answer.status_code


def test_a_trace_that_two_link_to_a_run_at_once(a: Server, plain: Server, tables: Tables) -> None:
    """mlflow#21002."""
    assert link_beside_another(a, tables) == 200
    assert link_beside_another(plain, tables) == 400


def test_the_same_span_again(a: Server, b: Server, plain: Server, tables: Tables) -> None:
    """After a lost answer, at once through both replicas, and twice in a batch."""
    trace, span = new_trace(), secrets.token_hex(8)
    batch = Batch().add(trace, span, attributes={**AGENT_ATTRIBUTES})
    calls = [partial(random.choice((a, b)).spans, batch) for _ in range(20)]
    assert statuses(at_once(calls)) == {200: 20}
    twice = Batch().add(trace, span, name="first").add(trace, span, name="last")
    assert a.spans(twice).status_code == 200
    assert tables.one(f"SELECT name FROM spans WHERE trace_id = 'tr-{trace}'") == "last"
    refused = plain.spans(twice)
    assert refused.status_code == 400
    assert "cannot affect row a second time" in message(refused)


UNSTORABLE: list[tuple[str, Any]] = [
    ("name", lambda server, trace: server.spans(Batch().add(trace, name="a\0b"))),
    ("user", lambda server, trace: server.spans(Batch().add(trace, attributes={"user.id": "\0"}))),
    ("tag", lambda server, trace: server.info(trace, tags={"mood": "a\0b"})),
    ("metadata", lambda server, trace: server.info(trace, trace_metadata={"mood": "a\0b"})),
    ("preview", lambda server, trace: server.info(trace, request_preview="a\0b")),
    ("id", lambda server, trace: server.trace("a\0b")),
    (
        "surrogate in a session",
        lambda server, trace: server.spans(
            Batch().add(trace, attributes={"session.id": '"\\ud83e"'})
        ),
    ),
    (
        "surrogate in a tag of a span",
        lambda server, trace: server.spans(
            Batch().add(trace, attributes={"mlflow.traceTag.mood": '"\\ud83e"'})
        ),
    ),
    (
        "run parameter",
        lambda server, trace: server.post(
            "/api/2.0/mlflow/runs/log-parameter", run_id=server.new_run(), key="mood", value="a\0b"
        ),
    ),
    ("no experiment", lambda server, trace: server.info(trace, trace_location=None)),
    (
        "JSON that is no object",
        lambda server, trace: server.call(
            "POST",
            "/v1/traces",
            data="[]",
            headers={"content-type": "application/json", "x-mlflow-experiment-id": "0"},
        ),
    ),
]


@pytest.mark.parametrize(
    "send", [case[1] for case in UNSTORABLE], ids=[case[0] for case in UNSTORABLE]
)
def test_a_client_s_mistake_is_400(a: Server, plain: Server, tables: Tables, send: Any) -> None:
    trace = new_trace()
    refused = send(a, trace)
    assert refused.status_code == 400, refused.text
    assert tables.count("trace_info", [trace], "request_id") == 0
    assert send(plain, trace).status_code == 500


def test_nul_in_attributes_is_kept(a: Server, b: Server) -> None:
    trace = new_trace()
    assert a.spans(Batch().add(trace, attributes={"note": "a\0b", "k\0": "x"})).ok
    (span,) = b.trace(trace).json()["trace"]["spans"]
    found = {entry["key"]: entry["value"]["string_value"] for entry in span["attributes"]}
    assert (found["note"], found["k\0"]) == ("a\0b", "x")


TOO_LONG: list[tuple[str, Any]] = [
    ("tag", lambda server, trace: server.info(trace, tags={"mood": "x" * 8001})),
    ("tag key", lambda server, trace: server.info(trace, tags={"k" * 251: "x"})),
    ("metadata", lambda server, trace: server.info(trace, trace_metadata={"mood": "x" * 8001})),
    ("preview", lambda server, trace: server.info(trace, request_preview="x" * 1001)),
    ("client's id", lambda server, trace: server.info(trace, client_request_id="x" * 51)),
    (
        "type",
        lambda server, trace: server.spans(
            Batch().add(trace, attributes={"mlflow.spanType": "x" * 501})
        ),
    ),
    (
        "user",
        lambda server, trace: server.spans(Batch().add(trace, attributes={"user.id": "x" * 8001})),
    ),
]


@pytest.mark.parametrize("send", [case[1] for case in TOO_LONG], ids=[case[0] for case in TOO_LONG])
def test_what_is_longer_than_its_column_is_400(a: Server, tables: Tables, send: Any) -> None:
    """MLflow's own answer, and no 500."""
    trace = new_trace()
    refused = send(a, trace)
    assert refused.status_code == 400
    assert "value too long for type character varying" in message(refused)
    assert tables.count("trace_info", [trace], "request_id") == 0


def test_a_long_tag_is_cut_without_a_word(a: Server, tables: Tables) -> None:
    trace = new_trace()
    assert a.spans(Batch().add(trace, attributes={"mlflow.traceTag.a": "x" * 9000})).ok
    assert a.tag(trace, "b", "x" * 9000).ok
    lengths = (
        "SELECT length(value) FROM trace_tags"
        f" WHERE request_id = 'tr-{trace}' AND key IN ('a', 'b')"
    )
    assert tables.one(lengths) == "8000\n8000"


def test_half_of_a_surrogate_pair(a: Server, b: Server, tables: Tables) -> None:
    """In a tag it empties the value (mlflow#24123 is about reading; that is mended)."""
    trace = new_trace()
    assert a.spans(Batch().add(trace, attributes={"mlflow.spanInputs": '{"a": "\\ud83e"}'})).ok
    assert b.trace(trace).status_code == 200
    tagged = a.call(
        "PATCH",
        f"/api/3.0/mlflow/traces/tr-{trace}/tags",
        data='{"key": "mood", "value": "so \\ud83e"}',
        headers={"content-type": "application/json"},
    )
    assert tagged.status_code == 200
    value = f"SELECT value FROM trace_tags WHERE request_id = 'tr-{trace}' AND key = 'mood'"
    assert tables.one(value) == ""


def test_late_spans_bring_a_deleted_trace_back(a: Server, b: Server, tables: Tables) -> None:
    trace = new_trace()
    assert a.spans(Batch().add(trace)).ok
    assert a.info(trace, tags={"mood": "good"}).ok
    assert a.delete(trace).json() == {"traces_deleted": 1}
    assert b.spans(Batch().add(trace, parent="ab" * 8)).ok
    status = f"SELECT status FROM trace_info WHERE request_id = 'tr-{trace}'"
    assert tables.one(status) == "IN_PROGRESS"
    assert tables.count("spans", [trace]) == 1


def test_deletion_beside_late_writes(a: Server, b: Server, tables: Tables) -> None:
    """Foreign keys: nobody gets 500, and nothing is left without its trace."""
    traces = [new_trace() for _ in range(10)]
    for trace in traces:
        assert a.spans(Batch().add(trace)).ok
    calls: list[Any] = []
    for trace in traces:
        calls.append(partial(a.delete, trace))
        calls.append(partial(b.spans, Batch().add(trace, attributes={**AGENT_ATTRIBUTES})))
        calls.append(partial(b.tag, trace, "mood", "late"))
        calls.append(partial(a.info, trace, trace_metadata={"one": "1"}))
    found = statuses(at_once(calls))
    assert set(found) <= {200, 400, 404}, found
    for table in ("trace_tags", "trace_request_metadata"):
        assert (
            tables.one(
                f"SELECT count(*) FROM {table} LEFT JOIN trace_info USING (request_id)"
                " WHERE trace_info.request_id IS NULL"
            )
            == "0"
        )


def test_a_trace_of_two_experiments(a: Server, b: Server, tables: Tables) -> None:
    """Spans go to the experiment in which the trace began; its info moves all of it."""
    trace, other = new_trace(), a.new_experiment()
    assert a.spans(Batch().add(trace)).ok
    assert b.spans(Batch().add(trace), experiment=other).ok
    where = f"SELECT DISTINCT experiment_id FROM spans WHERE trace_id = 'tr-{trace}'"
    assert tables.one(where) == "0"
    assert b.info(trace, experiment=other).ok
    assert tables.one(where) == other


def test_an_experiment_that_was_deleted(a: Server, b: Server) -> None:
    """Spans are taken; what the client knows of the trace is refused."""
    trace, experiment = new_trace(), a.new_experiment()
    assert a.post("/api/2.0/mlflow/experiments/delete", experiment_id=experiment).ok
    assert b.spans(Batch().add(trace), experiment=experiment).status_code == 200
    refused = b.info(trace, experiment=experiment)
    assert refused.status_code == 400
    assert "must be in the 'active' state" in message(refused)
    assert b.spans(Batch().add(new_trace()), experiment="999999").status_code == 404


FUTURE_NS = 4_102_444_800 * 10**9


@pytest.mark.parametrize(
    ("times", "status", "row"),
    [
        ((0, 0), 200, "0|0"),
        ((FUTURE_NS, FUTURE_NS + 10**9), 200, f"{FUTURE_NS // 10**6}|1000"),
        ((FUTURE_NS, FUTURE_NS - 10**9), 200, f"{FUTURE_NS // 10**6}|-1000"),
        ((2**63, 2**63), 400, ""),
    ],
    ids=["zero", "in 2100", "end before start", "beyond the column"],
)
def test_times(
    a: Server, b: Server, tables: Tables, times: tuple[int, int], status: int, row: str
) -> None:
    trace = new_trace()
    assert a.spans(Batch().add(trace, times=times)).status_code == status
    found = (
        f"SELECT timestamp_ms, execution_time_ms FROM trace_info WHERE request_id = 'tr-{trace}'"
    )
    assert tables.one(found) == row
    assert b.trace(trace).status_code == (200 if row else 404)


def test_a_time_that_is_none_is_1970(a: Server, tables: Tables) -> None:
    trace = new_trace()
    assert a.info(trace, request_time="yesterday", state="DONE").ok
    found = f"SELECT timestamp_ms, status FROM trace_info WHERE request_id = 'tr-{trace}'"
    assert tables.one(found) == "0|STATE_UNSPECIFIED"


def test_one_attribute_that_is_not_as_expected_refuses_the_batch(
    a: Server, b: Server, tables: Tables
) -> None:
    """Not 500, so nobody sends it again; but the other spans of the batch are not stored either."""
    good, bad = new_trace(), new_trace()
    for attribute in (
        {"mlflow.llm.cost": "5"},
        {"mlflow.chat.tokenUsage": '{"input_tokens": "x"}'},
    ):
        refused = a.spans(Batch().add(good).add(bad, attributes={**attribute}))
        assert refused.status_code == 422
        assert message(refused) == "Failed to log OpenTelemetry spans"
        assert tables.count("trace_info", [good, bad], "request_id") == 0
    text = {"mlflow.spanInputs": "{not JSON", "mlflow.spanType": "{", "note": "\\ud800"}
    assert a.spans(Batch().add(good, attributes={**text, "x": float("nan")})).ok
    assert b.trace(good).ok


@pytest.mark.parametrize(
    ("digits", "stored"),
    [
        ("ab", "tr-" + "ab".rjust(32, "0")),
        ("00" * 16, "tr-" + "0" * 32),
        ("ab" * 17, None),
    ],
    ids=["short", "all zeros", "long"],
)
def test_ids_of_other_forms(a: Server, tables: Tables, digits: str, stored: str | None) -> None:
    answer = a.spans(Batch().add(digits))
    assert answer.status_code == (200 if stored else 422)
    if stored:
        found = f"SELECT count(*) FROM spans WHERE trace_id = '{stored}'"
        assert int(tables.one(found)) >= 1


@pytest.mark.parametrize("trace_id", ["", "a name of my own", "..x", "é" * 50])
def test_a_trace_s_info_has_any_id_but_a_path(a: Server, tables: Tables, trace_id: str) -> None:
    assert a.info("", trace_id=trace_id).ok
    found = f"SELECT count(*) FROM trace_info WHERE request_id = '{trace_id}'"
    assert tables.one(found) == "1"
    for no_id in ("x" * 51, "..", "a/b"):
        assert a.info("", trace_id=no_id).status_code == 400, no_id


def test_an_empty_name_is_kept(a: Server, b: Server) -> None:
    trace = new_trace()
    assert a.spans(Batch().add(trace, name="")).ok
    (span,) = b.trace(trace).json()["trace"]["spans"]
    assert span.get("name", "") == ""


def test_a_large_trace_comes_whole(a: Server, b: Server) -> None:
    """mlflow#24314: there are no pages of spans."""
    trace, root = new_trace(), secrets.token_hex(8)
    for start in range(0, 2000, 500):
        batch = Batch()
        for index in range(start, start + 500):
            batch.add(trace, root if index == 0 else None, parent=root if index else "")
        assert a.spans(batch).ok
    assert len(b.trace(trace).json()["trace"]["spans"]) == 2000
