"""Reads of a real server, and of the same behind a proxy that goes stale."""

import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

from tests.integration.workloads.conftest import Server
from tests.lossy_proxy import changing
from tests.otlp import export
from tests.serving import running
from tests.watched import Watched
from workloads.checkers import freshness
from workloads.history.tables import opened
from workloads.history.wire import TOKEN_TAG, registered_name
from workloads.verdict.result import Freshness


@contextmanager
def stale(server: Server, route: str) -> Iterator[str]:
    """Address of a proxy that gives every second repeated GET of a route its first answer again."""
    first: dict[str, bytes] = {}
    repeated = itertools.count(1)

    def repeat(method: str, path: str, content: bytes) -> bytes:
        if method == "GET" and path.partition("?")[0].endswith(route):
            if path in first and next(repeated) % 2 == 0:
                content = first[path]
            first.setdefault(path, content)
        return content

    with running(changing(("127.0.0.1", 0), server.uri.removeprefix("http://"), repeat)) as address:
        yield address


def look_and_write(watched: Watched) -> Freshness:
    """Read everything that is read, after each of some writes."""
    client = watched.client
    with watched.calls() as session:
        run = watched.create_run(session)
        name = registered_name(watched.experiment_id, session.token())
        client.create_registered_model(name)
        model = client.create_logged_model(watched.experiment_id, "m", source_run_id=run).model_id
        trace = secrets.token_bytes(16)
        trace_id = f"tr-{trace.hex()}"
        for step in range(3):
            client.log_batch(run, [Metric("loss", 1 / (step + 1), 1000, step)])
            client.set_tag(run, "stage", f"stage {step}")
            client.set_logged_model_tags(model, {"stage": f"stage {step}"})
            version = client.create_model_version(
                name, "s3://b/m", run, tags={TOKEN_TAG: session.token()}
            ).version
            client.set_registered_model_alias(name, "champion", version)
            client.update_model_version(name, "1", f"description {step}")
            client.set_experiment_tag(watched.experiment_id, "stage", f"stage {step}")
            client.log_text(run, f"step {step}", f"{step}.txt")
            export(watched.uri, watched.experiment_id, trace, (b"span000%d" % step, b"", step))
            client.set_trace_tag(trace_id, "mood", f"mood {step}")
            client.get_trace(trace_id)
            client.search_traces(locations=[watched.experiment_id])
            client.list_artifacts(run)
            client.get_experiment(watched.experiment_id)
            client.get_run(run)
            client.get_metric_history(run, "loss")
            client.search_runs([watched.experiment_id])
            client.get_model_version_by_alias(name, "champion")
            client.get_model_version(name, "1")
            client.get_registered_model(name)
            client.search_model_versions(f"name = '{name}'")
            client.get_logged_model(model)
            client.search_logged_models([watched.experiment_id])
        client.delete_tag(run, "stage")
        client.update_run(run, status="FINISHED", name="another")
        client.delete_registered_model_alias(name, "champion")
        with pytest.raises(MlflowException, match="not found"):
            client.get_model_version_by_alias(name, "champion")
        client.delete_run(run)
        client.get_run(run)
        client.search_runs([watched.experiment_id])
    with opened(watched.history) as tables:
        return freshness.judge(tables)


def test_a_real_server_is_fresh(server: Server, tmp_path: Path) -> None:
    result = look_and_write(Watched(tmp_path / "fresh", server.uri))
    assert result.findings == []
    assert result.reads >= 30


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ("/runs/get", "stale: "),
        ("/metrics/get-history", "stale: metric point loss of "),
        ("/registered-models/alias", "stale: model alias champion of "),
        ("/model-versions/get", "stale: field description of "),
        ("/registered-models/get", "stale: model alias champion of "),
        ("/model-versions/search", "stale: the list of versions of "),
        ("/mlflow-artifacts/artifacts", "stale: the list of files of "),
        ("/experiments/get", "stale: tag stage of "),
        ("/traces/get", "stale: the spans of tr-"),
    ],
)
def test_an_earlier_answer_is_stale(server: Server, tmp_path: Path, route: str, said: str) -> None:
    with stale(server, route) as uri:
        result = look_and_write(Watched(tmp_path / "stale", uri))
    assert result.stale >= 1
    assert result.unexpected == 0
    assert any(found.startswith(said) for found in result.findings), result.findings
    assert result.max_staleness_s
