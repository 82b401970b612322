"""Where files are is not a client's to say."""

# mypy: allow-untyped-calls

from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from infra.images.mlflow.stores.mlflow_bench_stores.places import (
    is_within,
    keep_places_of_traces,
    refuse_own_sources,
)

ELSEWHERE = {
    "mlflow.artifactLocation": "mlflow-artifacts:/1/another/artifacts",
    "mlflow.trace.archiveLocation": "s3://mlflow/trace-archive/1",
    "mlflow.trace.spansLocation": "ARCHIVE_REPO",
}
OWN = {"team": "a", "mlflow.traceName": "x"}


class Store:
    """What MLflow's store was given."""

    def start_trace(self, trace_info: Any) -> Any:
        return dict(trace_info.tags)

    def deprecated_start_trace_v2(self, experiment: str, tags: dict[str, str]) -> Any:
        return tags

    def deprecated_end_trace_v2(self, request_id: str, tags: dict[str, str]) -> Any:
        return tags

    def _get_trace_artifact_location_tag(self, experiment: str, trace_id: str) -> str:
        return f"{experiment}/traces/{trace_id}"


@pytest.fixture
def module() -> Any:
    class Fresh(Store):
        pass

    made = SimpleNamespace(
        SqlAlchemyStore=Fresh, _validate_trace_tag=lambda key, value: (key, value)
    )
    keep_places_of_traces(made)
    return made


def test_a_trace_comes_without_places(module: Any) -> None:
    store = module.SqlAlchemyStore()
    assert store.start_trace(SimpleNamespace(tags=OWN | ELSEWHERE)) == OWN
    assert store.deprecated_start_trace_v2("1", tags=OWN | ELSEWHERE) == OWN
    assert store.deprecated_end_trace_v2("tr-1", tags=OWN | ELSEWHERE) == OWN
    kept = {"mlflow.trace.spansLocation": "ARTIFACT_REPO"}
    assert store.start_trace(SimpleNamespace(tags=kept)) == kept


@pytest.mark.parametrize(
    "trace",
    [
        "../../../team-a/1/traces/tr-aaaa",
        "../../1/traces/tr-5ba8eb1c1d7f4c12b54b3e4d3b8a7a3e",
        "tr-1/../../2",
        "..",
        ".",
        "tr%2F1",
        "tr\\1",
        "tr-1\n/x",
        "tr-1?",
        "tr#1",
    ],
)
def test_a_trace_s_id_is_one_name_and_no_path(module: Any, trace: str) -> None:
    with pytest.raises(MlflowException, match="Invalid trace id") as refused:
        module.SqlAlchemyStore()._get_trace_artifact_location_tag("1", trace)
    assert refused.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    "trace",
    [
        "tr-5ba8eb1c1d7f4c12b54b3e4d3b8a7a3e",
        "5ba8eb1c",
        "of:a_service-1.2..3",
        "...",
        "",
        "a name of my own",
        "é",
    ],
)
def test_other_ids_are_as_they_come(module: Any, trace: str) -> None:
    found = module.SqlAlchemyStore()._get_trace_artifact_location_tag("1", trace)
    assert found == f"1/traces/{trace}"


@pytest.mark.parametrize("key", ELSEWHERE)
def test_a_tag_that_is_a_place_is_refused_by_itself_and_of_a_span(module: Any, key: str) -> None:
    with pytest.raises(MlflowException, match=f"Tag '{key}' is immutable"):
        module._validate_trace_tag(key, ELSEWHERE[key])
    assert module._validate_trace_tag("team", "a") == ("team", "a")


@pytest.mark.parametrize(
    ("uri", "destination", "within"),
    [
        ("s3://mlflow/1/run/artifacts", "s3://mlflow", True),
        ("S3://mlflow//1", "s3://mlflow", True),
        (" s3://mlflow/./1", "s3://mlflow", True),
        ("s3://mlflow", "s3://mlflow", True),
        ("s3://mlflow/team/./1", "s3://mlflow/team", True),
        ("s3://mlflow//team/1", "s3://mlflow/team/", True),
        ("s3://mlflow/teams/1", "s3://mlflow/team", False),
        ("s3://models/1", "s3://mlflow", False),
        ("mlflow-artifacts:/1/run/artifacts", "s3://mlflow", False),
        ("models:/m-1", "s3://mlflow", False),
        ("runs:/1/model", "file:///var/lib/mlflow/artifacts", False),
        ("file:///var/lib/mlflow/artifacts/1", "file:///var/lib/mlflow/artifacts", True),
        ("/var/lib/mlflow/artifacts/1", "file:///var/lib/mlflow/artifacts", True),
        ("/srv/models", "file:///var/lib/mlflow/artifacts", False),
    ],
)
def test_what_is_in_the_server_s_own_store(uri: str, destination: str, within: bool) -> None:
    assert is_within(uri, destination) is within


def test_a_model_version_s_source_in_the_server_s_store_is_refused() -> None:
    class Models:
        def create_model_version(self, name: str, source: str, run_id: str | None = None) -> str:
            return source

    refuse_own_sources(Models, "s3://mlflow")
    assert Models().create_model_version(name="m", source="s3://models/1") == "s3://models/1"
    with pytest.raises(MlflowException, match="It is in this server's artifact store"):
        Models().create_model_version("m", "s3://mlflow/1/run/artifacts/model")
