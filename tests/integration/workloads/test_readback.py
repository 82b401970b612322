"""Everything that the client changes is read back, and found where a server changes it again."""

import sqlite3
from contextlib import closing

import pytest

from tests.integration.workloads.conftest import Server
from tests.watched import Watched
from workloads.history.wire import TOKEN_TAG, registered_name
from workloads.target.target import at
from workloads.verdict.result import DurabilityVerdict


@pytest.fixture(scope="module")
def watched(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """A history with every audited call that is not of a training."""
    watched = Watched(tmp_path_factory.mktemp("everything"), server.uri)
    client = watched.client
    with watched.calls() as session:
        run = watched.create_run(session)
        for step, value in ((1, 0.5), (3, 0.1), (2, float("nan")), (4, float("inf"))):
            client.log_metric(run, "loss", value, timestamp=1000, step=step)
        client.set_tag(run, "mlflow.note.content", "what it is about")
        client.set_tag(run, "mood", "good")
        client.delete_tag(run, "mood")
        client.update_run(run, name="another name")
        client.set_terminated(run, end_time=1_700_000_000_000)
        gone, back, other_run = (watched.create_run(session) for _ in range(3))
        for deleted in (gone, back):
            client.delete_run(deleted)
        client.restore_run(back)
        client.set_experiment_tag(watched.experiment_id, "team", "a")
        client.set_experiment_tag(watched.experiment_id, "mood", "good")
        client.delete_experiment_tag(watched.experiment_id, "mood")
        other = client.create_experiment(f"{watched.folder} other", tags={"team": "b"})
        client.rename_experiment(other, f"{watched.folder} renamed")

        model = client.create_logged_model(
            watched.experiment_id,
            name="model",
            source_run_id=run,
            tags={"team": "a", "mood": "good"},
            params={"depth": "6"},
            model_type="agent",
        ).model_id
        client.log_model_params(model, {"width": "3"})
        client.set_logged_model_tags(model, {"team": "b"})
        client.delete_logged_model_tag(model, "mood")
        client.finalize_logged_model(model, "READY")
        for step, value in ((1, 0.25), (2, float("nan"))):
            client.log_metric(
                other_run,
                "score",
                value,
                timestamp=1000,
                step=step,
                model_id=model,
                dataset_name="diabetes",
                dataset_digest="ab12",
            )
        removed = client.create_logged_model(watched.experiment_id, name="removed").model_id
        client.delete_logged_model(removed)

        name, second, third = (
            registered_name(watched.experiment_id, session.token()) for _ in range(3)
        )
        client.create_registered_model(name, tags={"team": "a"}, description="first")
        client.update_registered_model(name, description="second")
        client.set_registered_model_tag(name, "mood", "good")
        client.delete_registered_model_tag(name, "mood")
        for number in ("1", "2", "3"):
            client.create_model_version(name, "s3://b/m", run, tags={TOKEN_TAG: session.token()})
            client.update_model_version(name, number, description=f"version {number}")
            client.set_model_version_tag(name, number, "stage", "tested")
            client.set_registered_model_alias(name, f"number-{number}", number)
        client.delete_model_version_tag(name, "1", "stage")
        client.delete_registered_model_alias(name, "number-2")
        client.delete_model_version(name, "3")
        for made in (second, third):
            client.create_registered_model(made, tags={"team": "a"})
            client.create_model_version(made, "s3://b/m", run, tags={TOKEN_TAG: session.token()})
        client.delete_registered_model(second)
        client.rename_registered_model(third, f"{third}-renamed")
    return watched


def test_everything_is_read_back(watched: Watched, server: Server) -> None:
    result = watched.judged(at(server.uri))
    assert result.findings == []
    assert result.read_errors == []
    assert result.verdict is DurabilityVerdict.PASS
    assert result.not_audited == {"POST registered-models/rename: what the model has": 1}
    assert result.kinds["deletion"].acknowledged == 4
    assert result.kinds["latest metric"].acknowledged == 2
    assert result.kinds["model metric"].acknowledged == 2


@pytest.mark.parametrize(
    ("change", "back", "said"),
    [
        (
            "update latest_metrics set value = 9 where step = 4",
            "update latest_metrics set value = 1.7976931348623157e308 where step = 4",
            "lost: latest metric loss = [4, 1000, 1.7976931348623157e+308] of run",
        ),
        (
            "update runs set end_time = 5 where end_time is not null",
            "update runs set end_time = 1700000000000 where end_time = 5",
            "lost: field end_time = 1700000000000 of run",
        ),
        (
            "update runs set name = 'x' where name = 'another name'",
            "update runs set name = 'another name' where name = 'x'",
            "lost: field name = another name of run",
        ),
        (
            "update runs set lifecycle_stage = 'active', status = 'KILLED' "
            "where lifecycle_stage = 'deleted'",
            "update runs set lifecycle_stage = 'deleted', status = 'RUNNING' "
            "where status = 'KILLED'",
            "lost: field lifecycle_stage = deleted of run",
        ),
        (
            "insert into tags (run_uuid, key, value) "
            "select run_uuid, 'mood', 'good' from runs where name = 'another name'",
            "delete from tags where key = 'mood'",
            "lost: deletion of tag mood = good of run",
        ),
        (
            "update experiment_tags set value = 'x' where value = 'a'",
            "update experiment_tags set value = 'a' where value = 'x'",
            "lost: tag team = a of experiment",
        ),
        (
            "update logged_models set lifecycle_stage = 'active', name = 'x' "
            "where lifecycle_stage = 'deleted'",
            "update logged_models set lifecycle_stage = 'deleted', name = 'removed' "
            "where name = 'x'",
            "unexpected: logged model m-",
        ),
        (
            "update logged_model_metrics set metric_value = 9 where metric_value = 0.25",
            "update logged_model_metrics set metric_value = 0.25 where metric_value = 9",
            "lost: model metric score (step 1, 1000 ms, run ",
        ),
        (
            "update registered_models set description = 'first' where description = 'second'",
            "update registered_models set description = 'second' where description = 'first'",
            "lost: field description = second of model mlflow-bench-",
        ),
        (
            "update model_versions set description = 'x' where description = 'version 2'",
            "update model_versions set description = 'version 2' where description = 'x'",
            "lost: field description = version 2 of model mlflow-bench-",
        ),
        (
            "update model_versions set source = 'x' where version = 2",
            "update model_versions set source = 's3://b/m' where version = 2",
            "lost: field source = s3://b/m of model mlflow-bench-",
        ),
        (
            "update model_versions set current_stage = 'None' where version = 3",
            "update model_versions set current_stage = 'Deleted_Internal' where version = 3",
            "lost: deletion of model version mlflow-bench-",
        ),
        (
            "insert into registered_model_aliases (workspace, name, alias, version) "
            "select workspace, name, 'number-2', 2 from model_versions where version = 2",
            "delete from registered_model_aliases where alias = 'number-2'",
            "lost: deletion of model alias number-2 = 2 of mlflow-bench-",
        ),
    ],
)
def test_what_a_server_changes_is_found(
    watched: Watched, server: Server, change: str, back: str, said: str
) -> None:
    def do(statement: str) -> None:
        with closing(sqlite3.connect(server.database, timeout=30)) as database, database:
            assert database.execute(statement).rowcount > 0

    do(change)
    try:
        findings = watched.judged(at(server.uri)).findings
    finally:
        do(back)
    assert any(finding.startswith(said) for finding in findings), findings
