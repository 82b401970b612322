"""Traces of the real client and of OpenTelemetry are read back, and what is missing is found."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass

import mlflow
import pytest

from tests.integration.workloads.conftest import Server
from tests.otlp import export
from tests.watched import Watched
from workloads.history.wire import registered_name
from workloads.target.target import at
from workloads.verdict.result import DurabilityVerdict

pytestmark = pytest.mark.filterwarnings("default")
"""MLflow's client makes no trace at all where it gets a warning as an error, and says nothing."""


@dataclass
class Known:
    watched: Watched
    whole: str
    """A trace of MLflow's client."""
    exported: str
    """One that came by OTLP, in several exports."""


@pytest.fixture(scope="module")
def known(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Known:
    """A history with every audited call of traces."""
    watched = Watched(tmp_path_factory.mktemp("traces"), server.uri)
    client = watched.client
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch, watched.calls() as session:
        patch.setenv("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
        mlflow.set_tracking_uri(server.uri)
        mlflow.set_experiment(experiment_id=watched.experiment_id)
        run = watched.create_run(session)
        made = [_make_trace(session.token()) for _ in range(4)]
        whole, kept, gone, linked_and_gone = made
        client.set_trace_tag(whole, "mood", "good")
        client.set_trace_tag(whole, "length", "x" * 5000)
        client.set_trace_tag(kept, "mood", "bad")
        client.delete_trace_tag(kept, "mood")
        client.link_traces_to_run([whole, kept, linked_and_gone], run)
        client.delete_traces(watched.experiment_id, trace_ids=[gone, linked_and_gone])
        prompt = registered_name(watched.experiment_id, session.token())
        client.register_prompt(prompt, "Hello {{name}}")
        client.link_prompt_versions_to_trace([client.get_prompt_version(prompt, 1)], whole)

        identity = bytes.fromhex("5b8aa5a2d2c872e8321cf37308d69df2")
        uri, experiment = server.uri, watched.experiment_id
        export(
            uri, experiment, identity, (b"child001", b"root0001", 5), (b"child002", b"root0001", 3)
        )
        export(uri, experiment, identity, (b"root0001", b"", 0), **{"mlflow.traceTag.team": "a"})
        export(
            uri,
            experiment,
            identity,
            (b"late0001", b"root0001", 9),
            **{"openinference.span.kind": "LLM"},
        )
        export(
            uri,
            experiment,
            identity,
            (b"late0001", b"root0001", 9),
            **{"openinference.span.kind": "LLM"},
        )
        # A span that comes after the client had said that its trace was whole.
        export(uri, experiment, bytes.fromhex(whole[3:]), (b"late0002", b"child001", 1))
    mlflow.set_tracking_uri(before)
    return Known(watched, whole, f"tr-{identity.hex()}")


def _make_trace(token: str) -> str:
    with mlflow.start_span("agent") as span:
        span.set_inputs({"question": token, "text": "ü" * 2000})
        mlflow.update_current_trace(
            tags={"token": token},
            metadata={"mlflow.trace.session": "s1", "mlflow.trace.user": "u1", "note": "y" * 300},
            client_request_id=token,
        )
        with mlflow.start_span("model", span_type="CHAT_MODEL") as child:
            child.set_inputs({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
            child.set_attribute(
                "mlflow.chat.tokenUsage", {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
            )
            child.set_outputs("hello")
        try:
            with mlflow.start_span("tool"):
                raise ValueError("no such tool")
        except ValueError:
            pass
        span.set_outputs({"answer": 42})
    return span.trace_id


def test_everything_is_read_back(known: Known, server: Server) -> None:
    result = known.watched.judged(at(server.uri))
    assert result.findings == []
    assert result.read_errors == []
    assert result.verdict is DurabilityVerdict.PASS
    assert result.kinds["trace"].acknowledged == 5
    assert result.kinds["span"].present == 2 * 3 + 4 + 1
    assert result.kinds["deletion"].acknowledged == 2
    assert result.not_audited == {}


@pytest.mark.parametrize(
    ("change", "back", "said"),
    [
        (
            "create table kept as select * from spans where span_id = '6368696c64303032'; "
            "delete from spans where span_id = '6368696c64303032'",
            "insert into spans ({columns}) select {columns} from kept; drop table kept",
            "lost: span 6368696c64303032 = ",
        ),
        (
            "create table kept as select * from spans; "
            "update spans set content = replace(content, 'no such tool', 'such a tool')",
            "delete from spans; insert into spans ({columns}) select {columns} from kept; "
            "drop table kept",
            "lost: span ",
        ),
        (
            "update trace_tags set value = 'x' where value = 'good'",
            "update trace_tags set value = 'good' where value = 'x'",
            "lost: tag mood = good of trace ",
        ),
        (
            "update trace_request_metadata set value = 'x' where value = 'u1'",
            "update trace_request_metadata set value = 'u1' where value = 'x'",
            "lost: field metadata.mlflow.trace.user = u1 of trace ",
        ),
        (
            "update trace_info set status = 'ERROR' where client_request_id is not null",
            "update trace_info set status = 'OK' where client_request_id is not null",
            "lost: field state = OK of trace ",
        ),
        (
            "update trace_info set timestamp_ms = timestamp_ms + 1",
            "update trace_info set timestamp_ms = timestamp_ms - 1",
            "lost: field request_time = ",
        ),
        (
            "create table kept as select * from entity_associations; "
            "delete from entity_associations where destination_type = 'run'",
            "delete from entity_associations; insert into entity_associations select * from kept; "
            "drop table kept",
            "lost: trace link tr-",
        ),
    ],
)
def test_what_a_server_changes_is_found(
    known: Known, server: Server, change: str, back: str, said: str
) -> None:
    with closing(sqlite3.connect(server.database)) as database:
        columns = ", ".join(
            name
            for _, name, *_, hidden in database.execute("pragma table_xinfo(spans)")
            if not hidden
        )
        database.executescript(change)
        try:
            result = known.watched.judged(at(server.uri))
        finally:
            database.executescript(back.format(columns=columns))
    assert any(finding.startswith(said) for finding in result.findings), result.findings
    assert result.verdict is DurabilityVerdict.FAIL
