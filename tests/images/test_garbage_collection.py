"""What was deleted is removed to the last row and object, and nothing else is.

The program runs in this process, on a database and an artifact store as a stack has them. All of
what is kept is counted before anything is made that is deleted then.
"""

# mypy: allow-untyped-calls

import secrets
import warnings
from argparse import Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import docker
import mlflow
import pytest
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    LoggedModelParameter,
    LoggedModelTag,
    Metric,
    Param,
    RunTag,
    TraceInfo,
    TraceLocation,
    TraceState,
)
from mlflow.exceptions import MlflowException

from infra.images.mlflow.garbage import __main__ as garbage
from infra.images.mlflow.garbage import places, rows
from infra.images.mlflow.schema_job import __main__ as job
from infra.images.mlflow.stores.mlflow_bench_stores.folder import FolderRepository
from infra.images.mlflow.stores.mlflow_bench_stores.repository import ProxiedS3Repository
from tests.images.object_store import BUCKET, MINIO, PASSWORD, USER, ObjectStore, write_secrets
from tests.images.sandbox import PASSWORD as DATABASE_PASSWORD
from tests.images.sandbox import Postgres, Sandbox, build

pytestmark = [
    pytest.mark.plugins,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    pytest.mark.filterwarnings("ignore:Column-expression-level unary distinct"),
]

NAME = "mlflow"


class EndedError(BaseException):
    """The end of a process, which nothing handles."""


class Files(Protocol):
    """An artifact store, past all servers."""

    destination: str

    def put(self, path: str) -> None: ...

    def all(self) -> set[str]: ...


class Folder:
    """Files in a folder, and folders: an empty one is left behind, too."""

    def __init__(self, root: Path) -> None:
        self.destination = f"file://{root}"
        self._root = root

    def put(self, path: str) -> None:
        file = self._root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("text")

    def all(self) -> set[str]:
        return {str(path.relative_to(self._root)) for path in self._root.rglob("*")}


class Bucket:
    """Objects and unfinished uploads in a folder of their own of a bucket."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._folder = secrets.token_hex(4)
        self.destination = f"s3://{BUCKET}/{self._folder}"

    def put(self, path: str) -> None:
        place = {"Bucket": BUCKET, "Key": f"{self._folder}/{path}"}
        if not path.endswith(".part"):
            self._client.put_object(**place, Body=b"text")
            return
        upload = self._client.create_multipart_upload(**place)["UploadId"]
        self._client.upload_part(**place, UploadId=upload, PartNumber=1, Body=b"part")

    def all(self) -> set[str]:
        place = {"Bucket": BUCKET, "Prefix": f"{self._folder}/"}
        objects = self._client.get_paginator("list_objects_v2").paginate(**place)
        keys = {each["Key"] for page in objects for each in page.get("Contents", [])}
        uploads = self._client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return keys | {each["Key"] for each in uploads if each["Key"].startswith(self._folder)}


class Team:
    """A database and an artifact store in which people work."""

    def __init__(self, server: Postgres, uri: str, files: Files) -> None:
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        self._server = server
        self.uri = uri
        self.files = files
        self.records: str | None = None
        self.below = ""
        """Folder of its workspace, where it has one."""
        self.store = SqlAlchemyStore(uri, "mlflow-artifacts:/")

    def sql(self, statement: str) -> str:
        return self._server.sql(statement, NAME)

    def collect(self, **options: Any) -> dict[str, Any]:
        given = {"older_than": None, "jobs": False, "dry_run": False} | options
        return garbage.collect(
            Namespace(database_uri=self.uri, artifacts_destination=self.files.destination, **given)
        )

    def all(self) -> tuple[dict[str, int], set[str]]:
        """Count the rows of every table; list the artifact store."""
        tables = self.sql(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        ).splitlines()
        query = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM {name}" for name in tables)
        counts = dict(row.split("|") for row in self.sql(query).splitlines())
        return {name: int(count) for name, count in counts.items()}, self.files.all()

    def experiment(self) -> str:
        return str(self.store.create_experiment(secrets.token_hex(4)))

    def run(self, experiment: str, *data_sets: str) -> str:
        """Log a run with something in every table that runs have, and files."""
        run = self.store.create_run(experiment, "ann", 1, [RunTag("a", "b")], "a run").info.run_id
        metrics = [Metric("loss", 0.5, 1, step) for step in range(3)]
        self.store.log_batch(run, metrics, [Param("depth", "6")], [RunTag("c", "d")])
        self.store.log_inputs(
            run,
            [
                DatasetInput(Dataset(name, name, "local", "{}"), [InputTag("context", "train")])
                for name in data_sets
            ],
        )
        for name in ("model/weights.bin", "note.txt"):
            self.files.put(f"{self.below}{experiment}/{run}/artifacts/{name}")
        return str(run)

    def model(self, experiment: str, run: str) -> str:
        """Log a model as an output of a run."""
        model = self.store.create_logged_model(
            experiment,
            "model",
            run,
            [LoggedModelTag("a", "b")],
            [LoggedModelParameter("depth", "6")],
        ).model_id
        self.store.log_outputs(run, [LoggedModelOutput(model, 0)])
        self.store.log_batch(run, [Metric("loss", 0.5, 1, 9, model_id=model)], [], [])
        self.files.put(f"{self.below}{experiment}/models/{model}/artifacts/MLmodel")
        return str(model)

    def trace(self, experiment: str, run: str) -> str:
        """Write a trace that is linked to a run, with a file as an older client has its spans."""
        trace = f"tr-{secrets.token_hex(16)}"
        location = TraceLocation.from_experiment_id(experiment)
        self.store.start_trace(TraceInfo(trace, location, 1, TraceState.OK))
        self.store.link_traces_to_run([trace], run)
        self.files.put(f"{self.below}{experiment}/traces/{trace}/artifacts/traces.json")
        self.files.put(f"trace-archive/{self.below}{experiment}/traces/{trace}/artifacts/traces.pb")
        return trace

    def whole_experiment(self) -> str:
        """Make an experiment with all that is in one."""
        experiment = self.experiment()
        run = self.run(experiment, "own")
        model = self.model(experiment, run)
        other = self.run(experiment)
        self.store.log_inputs(other, models=[LoggedModelInput(model)])
        self.trace(experiment, run)
        if self.records is None:
            self.records = self.store.create_dataset("records").dataset_id
        # It is of no experiment: it stays.
        self.store.add_dataset_to_experiments(self.records, [experiment])
        return experiment


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Import what warns while it is imported, which is not for these tests to judge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.cli
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401


@pytest.fixture(scope="module")
def minio(
    sandbox: Sandbox, client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> ObjectStore:
    secrets = write_secrets(tmp_path_factory.mktemp("secrets") / "minio")
    return ObjectStore(sandbox, MINIO, build(client, MINIO.name), secrets).wait()


@pytest.fixture(params=["folder", "s3"])
def files(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Files:
    if request.param == "folder":
        monkeypatch.setattr(places, "get_artifact_repository", FolderRepository)
        return Folder(tmp_path_factory.mktemp("artifacts"))
    store: ObjectStore = request.getfixturevalue("minio")
    monkeypatch.setattr(places, "get_artifact_repository", ProxiedS3Repository)
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", store.endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    return Bucket(store.client())


@pytest.fixture
def team(
    server: Postgres, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Team]:
    """A new database in the server that the tests share."""
    passwords = tmp_path / "pgpass"
    escaped = DATABASE_PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    passwords.write_text(f"*:*:*:*:{escaped}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "")  # put back at the end
    server.sql(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", "postgres")
    server.sql(f"CREATE DATABASE {NAME} OWNER mlflow", "postgres")
    uri = f"postgresql+psycopg2://mlflow@127.0.0.1:{server.port}/{NAME}"
    arguments = ["--database-uri", uri, "--artifacts-destination", "/artifacts"]
    assert job.main(arguments) == 0
    team = Team(server, uri, files)
    yield team
    mlflow.set_tracking_uri("")
    team.store.engine.dispose()
    server.sql(f"DROP DATABASE {NAME} WITH (FORCE)", "postgres")
    server.sql(f"CREATE DATABASE {NAME} OWNER mlflow", "postgres")


def nothing(removed: dict[str, Any]) -> bool:
    figures = removed.copy()
    return not any((*figures.pop("content").values(), *figures.values()))


def kept_and_deleted(team: Team) -> tuple[dict[str, int], set[str]]:
    """Make what is kept, and return all of it; then make what is deleted, and delete it."""
    store, files = team.store, team.files
    kept = team.whole_experiment()
    stays = team.run(kept, "shared")
    before = team.all()

    gone = team.run(kept, "shared", "of the deleted run")
    model = team.model(kept, gone)
    # A kept run's that has a model that goes, and a trace that stays with a run that goes.
    files.put(f"{team.below}{kept}/{gone}/artifacts/checkpoints/begun.part")
    files.put(f"{team.below}{kept}/models/{model}/artifacts/data/weights.part")
    store.delete_run(gone)
    store.delete_logged_model(model)
    experiment = team.whole_experiment()
    files.put(f"{team.below}{experiment}/not-of-a-run.txt")
    store.delete_experiment(experiment)
    restored = team.whole_experiment()
    store.delete_experiment(restored)
    store.restore_experiment(restored)
    store.delete_experiment(restored)
    assert stays
    return before


def test_all_of_what_was_deleted_goes_and_nothing_else(team: Team) -> None:
    before = kept_and_deleted(team)
    with_garbage = team.all()
    assert with_garbage != before

    would = team.collect(dry_run=True)
    assert team.all() == with_garbage
    removed = team.collect()
    rows_left, files_left = team.all()
    assert rows_left == before[0]
    assert files_left == before[1]
    counted = {name: removed[name] for name in ("experiments", "runs", "logged_models", "traces")}
    assert counted == {"experiments": 2, "runs": 5, "logged_models": 1, "traces": 2}
    assert removed["notes"] == []
    for name in counted:
        assert would[name] == removed[name]
    # Folders are empty only when what was in them has gone.
    assert would["content"] == removed["content"] | {"folders": would["content"]["folders"]}
    assert nothing(team.collect())
    assert nothing(team.collect(dry_run=True))


def test_what_was_deleted_goes_from_all_workspaces(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.entities import Workspace
    from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
    from mlflow.tracking._workspace import registry
    from mlflow.utils.workspace_context import ServerWorkspaceContext

    monkeypatch.setenv("MLFLOW_ENABLE_WORKSPACES", "true")
    monkeypatch.setattr(registry, "_workspace_store_registry", None)
    team.store.engine.dispose()
    store = WorkspaceAwareSqlAlchemyStore(team.uri, "mlflow-artifacts:/")
    team.store = store
    for name in ("team-a", "team-b"):
        store._get_workspace_provider_instance().create_workspace(Workspace(name))
    for name in ("team-a", "team-b"):
        team.below, team.records = f"workspaces/{name}/", None
        with ServerWorkspaceContext(name):
            before = kept_and_deleted(team)
            would = team.collect(dry_run=True)
        removed = team.collect()
        assert (team.all(), removed["notes"]) == (before, [])
        assert (removed["experiments"], removed["runs"], removed["traces"]) == (2, 5, 2)
        assert would["content"]["objects"] == removed["content"]["objects"]
    store._get_workspace_provider_instance()._engine.dispose()


def test_the_next_run_finishes_what_was_interrupted(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    before = kept_and_deleted(team)
    steps = 0

    def interrupting(do: Callable[..., Any], after: int) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            nonlocal steps
            steps += 1
            if steps > after:
                raise EndedError
            return do(*args, **kwargs)

        return step

    # One removal of artifacts or rows further each time.
    for after in range(1, 60):
        steps = 0
        with monkeypatch.context() as broken:
            for owner, name in (
                (places.Folder, "remove"),
                (places.Bucket, "remove"),
                (rows, "delete"),
                (rows, "delete_unused_data_sets"),
                (SqlAlchemyStore, "_hard_delete_run"),
                (SqlAlchemyStore, "_hard_delete_logged_model"),
                (SqlAlchemyStore, "_hard_delete_experiment"),
                (SqlAlchemyStore, "delete_traces"),
            ):
                broken.setattr(owner, name, interrupting(getattr(owner, name), after))
            try:
                team.collect()
            except EndedError:
                continue
            break
    else:
        pytest.fail("no run came to its end")
    assert team.all() == before


@pytest.mark.parametrize("files", ["folder"], indirect=True)
def test_only_what_was_deleted_long_enough_ago(team: Team) -> None:
    experiment = team.experiment()
    old, new = team.run(experiment), team.run(experiment)
    team.store.delete_run(old)
    team.store.delete_run(new)
    team.sql(f"UPDATE runs SET deleted_time = deleted_time - 7200000 WHERE run_uuid = '{old}'")
    assert team.collect(older_than="3h")["runs"] == 0
    assert team.collect(older_than="1h")["runs"] == 1
    view = mlflow.entities.ViewType.DELETED_ONLY
    left = team.store.search_runs([experiment], "", view)
    assert [run.info.run_id for run in left] == [new]


@pytest.mark.parametrize("files", ["folder"], indirect=True)
def test_folders_that_experiments_share_stay(team: Team) -> None:
    kept = team.experiment()
    inside = f"mlflow-artifacts:/{kept}/inside"
    other = str(team.store.create_experiment(secrets.token_hex(4), artifact_location=inside))
    run = team.run(kept)
    team.files.put(f"{kept}/inside/{run}/artifacts/theirs.txt")
    team.files.put(f"{kept}/whose.txt")
    team.store.delete_experiment(kept)
    removed = team.collect()
    assert removed["experiments"] == 1
    [note] = removed["notes"]
    assert note.startswith(f"experiment {kept} shares its folder {kept} with others")
    left = team.files.all()
    assert any(path.endswith("theirs.txt") for path in left)
    assert any(path.endswith("whose.txt") for path in left)
    assert not any(path.endswith("note.txt") for path in left)
    assert team.store.get_experiment(other).lifecycle_stage == "active"


def test_what_another_database_has_in_the_same_store_stays(team: Team) -> None:
    """Its servers count their experiments from 1, too."""
    experiment = team.whole_experiment()
    run, model, trace = (prefix + secrets.token_hex(16) for prefix in ("", "m-", "tr-"))
    theirs = {
        f"{experiment}/{run}/artifacts/theirs.txt",
        f"{experiment}/models/{model}/artifacts/MLmodel",
        f"trace-archive/{experiment}/traces/{trace}/artifacts/traces.pb",
    }
    for path in theirs:
        team.files.put(path)
    team.store.delete_experiment(experiment)
    notes = team.collect(dry_run=True)["notes"]
    removed = team.collect()
    assert removed["notes"] == notes
    assert "shares its folder" in notes[0]
    assert "traces of others" in notes[1]
    assert removed["experiments"] == 1
    left = team.files.all()
    assert all(any(path.endswith(one) for path in left) for one in theirs)
    assert not any(path.endswith(("note.txt", "weights.bin")) for path in left)


@pytest.mark.parametrize("files", ["folder"], indirect=True)
def test_an_experiment_that_is_restored_meanwhile_stays(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    experiment = team.experiment()
    team.files.put(f"{experiment}/traces/a/artifacts/traces.json")
    before = team.all()
    other = team.run(team.experiment())
    team.store.delete_run(other)
    team.store.delete_experiment(experiment)
    remove = SqlAlchemyStore._hard_delete_run

    def restoring(store: Any, run: str) -> None:
        remove(store, run)
        team.store.restore_experiment(experiment)

    with monkeypatch.context() as busy:
        busy.setattr(SqlAlchemyStore, "_hard_delete_run", restoring)
        removed = team.collect()
    assert (removed["experiments"], removed["runs"]) == (0, 1)
    assert removed["notes"] == [f"experiment {experiment} stays: it was restored meanwhile"]
    assert team.files.all() == before[1]


@pytest.mark.parametrize("files", ["folder"], indirect=True)
def test_nobody_restores_what_is_half_gone(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = team.whole_experiment()
    team.store.delete_experiment(experiment)
    remove = places.Folder.remove
    with ThreadPoolExecutor(1) as pool:
        restored: list[Future[None]] = []

        def restoring(place: places.Folder, path: PurePosixPath) -> places.Content:
            if str(path) == experiment and not restored:
                restored.append(pool.submit(team.store.restore_experiment, experiment))
                with pytest.raises(TimeoutError):
                    restored[0].result(timeout=0.5)
            return remove(place, path)

        with monkeypatch.context() as busy:
            busy.setattr(places.Folder, "remove", restoring)
            assert team.collect()["experiments"] == 1
        with pytest.raises(MlflowException):
            restored[0].result(timeout=60)
    assert team.sql(f"SELECT count(*) FROM experiments WHERE experiment_id = {experiment}") == "0"


@pytest.mark.parametrize("files", ["folder"], indirect=True)
def test_a_new_experiment_has_the_folder_of_one_that_goes(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    def new() -> str:
        place = "mlflow-artifacts:/team/churn"
        return str(team.store.create_experiment("churn", artifact_location=place))

    old = new()
    team.files.put("team/churn/old.txt")
    team.store.delete_experiment(old)
    remove = SqlAlchemyStore._hard_delete_experiment

    def and_anew(store: Any, experiment: str) -> None:
        remove(store, experiment)
        created.append(experiment)

    created: list[str] = []
    look_again = places.Folder.look_again

    def looked(place: places.Folder) -> None:
        look_again(place)
        if created:
            new()
            team.files.put("team/churn/new.txt")

    with monkeypatch.context() as busy:
        busy.setattr(SqlAlchemyStore, "_hard_delete_experiment", and_anew)
        busy.setattr(places.Folder, "look_again", looked)
        assert team.collect()["experiments"] == 1
    assert team.files.all() == {"team", "team/churn", "team/churn/new.txt"}


@pytest.mark.parametrize("files", ["folder"], indirect=True)
def test_what_a_registered_model_has_its_files_in_stays(team: Team) -> None:
    experiment = team.experiment()
    model = team.model(experiment, team.run(experiment))
    team.sql("INSERT INTO registered_models (name) VALUES ('churn')")
    team.sql(
        "INSERT INTO model_versions (name, version, source, current_stage)"
        f" VALUES ('churn', 3, 'models:/{model}', 'None')"
    )
    team.store.delete_experiment(experiment)
    removed = team.collect()
    assert removed["experiments"] == 0
    why = "version 3 of registered model 'churn' has its files there"
    assert removed["notes"] == [f"experiment {experiment} stays: {why}"]
    assert f"{experiment}/models/{model}/artifacts/MLmodel" in team.files.all()

    team.sql("UPDATE model_versions SET current_stage = 'Deleted_Internal'")
    assert team.collect()["experiments"] == 1
    assert team.files.all() == set()


@pytest.mark.parametrize("files", ["s3"], indirect=True)
def test_more_objects_than_a_page_has(team: Team) -> None:
    experiment = team.experiment()
    run = team.run(experiment)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(team.files.put, (f"{experiment}/{run}/artifacts/{n}" for n in range(1010))))
    team.store.delete_run(run)
    assert team.collect()["content"]["objects"] == 1012
    assert team.files.all() == set()


@pytest.mark.parametrize("files", ["folder"], indirect=True)
def test_one_works_at_a_time(server: Postgres, team: Team) -> None:
    with team.store.engine.connect() as other:
        other.exec_driver_sql(f"SELECT pg_advisory_lock({garbage.LOCK})")
        with pytest.raises(RuntimeError, match="another garbage collection works"):
            team.collect()


@pytest.mark.parametrize("files", ["folder"], indirect=True)
def test_who_reads_data_sets_is_not_waited_for_long(team: Team) -> None:
    run = team.run(team.experiment(), "own")
    team.store.delete_run(run)
    with team.store.engine.connect() as backup:
        backup.exec_driver_sql("LOCK TABLE datasets IN ACCESS SHARE MODE")
        [note] = team.collect()["notes"]
        assert "data sets that no run has stay" in note
    removed = team.collect()
    assert (removed["other_rows"], removed["notes"]) == (1, [])
    assert team.sql("SELECT count(*) FROM datasets") == "0"
