"""One run of `mlflow gc`, with removals that leave nothing behind.

MLflow decides what goes, in its own order: the runs, their artifacts before their rows, then the
logged models likewise, then the experiments. What it would call for each is put in its place here.
As rows go last, a run that was ended is finished by the next one.
"""

# mypy: allow-untyped-calls

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from mlflow import cli
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.workspace_context import get_request_workspace
from mlflow.utils.workspace_utils import WORKSPACES_DIR_NAME
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from . import rows
from .places import Content, Place

PROXIED = "mlflow-artifacts"
ARCHIVE = "trace-archive"
"""Folder of the store in which each experiment has its archived traces."""

TRACES = 100
"""Of one transaction."""

_OF_ONE_THING = re.compile(r"(?:[0-9a-f]{32}|m-[0-9a-f]{32})/artifacts$")
"""The end of the path of a run's or a logged model's artifacts."""

_THING = re.compile(r"(?:m-|tr-)?[0-9a-f]{32}")
"""The name of a run's, a logged model's or a trace's folder."""

NAMES = 1000
"""Of one question to the database."""

Remove = Callable[[Any, str], None]
"""A method of MLflow's store that removes one thing by its id."""

_LOCATIONS = text("SELECT artifact_location FROM experiments WHERE experiment_id <> :id")
_MODELS = text("SELECT model_id, artifact_location FROM logged_models WHERE experiment_id = :id")
_RUNS = text("SELECT run_uuid, artifact_uri FROM runs WHERE experiment_id = :id")
_UNKNOWN = text(
    """
    SELECT name FROM unnest(CAST(:names AS text[])) AS name
     WHERE NOT EXISTS (SELECT FROM runs WHERE run_uuid = name AND experiment_id = :id)
       AND NOT EXISTS (SELECT FROM logged_models WHERE model_id = name AND experiment_id = :id)
       AND NOT EXISTS (SELECT FROM trace_info WHERE request_id = name AND experiment_id = :id)
     ORDER BY name
    """
)


@dataclass
class Removed:
    """What was removed, or would be."""

    experiments: int = 0
    runs: int = 0
    logged_models: int = 0
    traces: int = 0
    other_rows: int = 0
    """That named what was removed."""
    content: Content = field(default_factory=Content)
    notes: list[str] = field(default_factory=list)
    """Lines for a person."""

    def figures(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return asdict(self)


class Collection:
    """Counts and removes; with `dry`, it only counts."""

    def __init__(self, store: SqlAlchemyStore, place: Place, *, dry: bool) -> None:
        self._store = store
        self._engine = store.engine
        self._place = place
        self._dry = dry
        self._seen: dict[PurePosixPath, Content] = {}
        self._whole: dict[PurePosixPath, int] = {}
        """Folders of experiments that were removed with all that was in them."""
        self.removed = Removed()

    def run(self, *arguments: str) -> Removed:
        """Do what `mlflow gc` does with these arguments."""
        if note := self._place.look_again():
            self.removed.notes.append(note)
        with self._in_its_place():
            cli.gc.main(list(arguments), prog_name="mlflow gc", standalone_mode=False)
        if self._dry:
            self.removed.other_rows += rows.of_no_run(self._engine)
            return self.removed
        # What was still on its way while its run was removed.
        self._place.look_again()
        for path in self._seen:
            # A new experiment may have the folder of one that has gone.
            if path not in self._whole or self._of_others(path, self._whole[path]) is None:
                self.removed.content.add(self._place.remove(path))
        self.removed.other_rows += rows.delete(self._engine, rows.OF_NO_RUN)
        try:
            self.removed.other_rows += rows.delete_unused_data_sets(self._engine)
        except OperationalError:
            self.removed.notes.append(
                "data sets that no run has stay until the next run, as others are reading them"
            )
        return self.removed

    @contextmanager
    def _in_its_place(self) -> Iterator[None]:
        kept: dict[str, Remove] = {}
        for name, ours in (
            ("_hard_delete_run", self._run),
            ("_hard_delete_logged_model", self._model),
            ("_hard_delete_experiment", self._experiment),
        ):
            kept[name] = getattr(SqlAlchemyStore, name)
            setattr(SqlAlchemyStore, name, _bound(ours, kept[name]))
        module: Any = cli
        repository = module.get_artifact_repository
        module.get_artifact_repository = lambda uri: self._repository(uri) or repository(uri)
        try:
            yield
        finally:
            module.get_artifact_repository = repository
            for name, theirs in kept.items():
                setattr(SqlAlchemyStore, name, theirs)

    def _repository(self, uri: str) -> "_Artifacts | None":
        if urlsplit(uri).scheme == PROXIED:
            return _Artifacts(self, _path(uri))
        # Outside the server, where clients themselves put it: by MLflow's own class.
        self.removed.notes.append(f"{uri} is outside the artifact store")
        return _Artifacts(self, None) if self._dry else None

    def clear(self, path: PurePosixPath | None) -> None:
        """Remove the artifacts in a folder; a second time what came meanwhile."""
        if path is None or not path.parts:
            return
        if self._dry:
            if path in self._seen:
                return
            found = self._place.content(path)
            for below, counted in self._seen.items():
                if path in below.parents:
                    found = Content(
                        found.objects - counted.objects,
                        found.size - counted.size,
                        found.uploads - counted.uploads,
                        found.folders - counted.folders,
                    )
            self._seen[path] = found
            self.removed.content.add(found)
            return
        self._seen[path] = Content()
        self.removed.content.add(self._place.remove(path))

    def _run(self, theirs: Remove, store: Any, run_id: str) -> None:
        if not self._dry:
            theirs(store, run_id)
        self.removed.runs += 1

    def _model(self, theirs: Remove, store: Any, model_id: str) -> None:
        if not self._dry:
            self.removed.other_rows += rows.delete(self._engine, rows.MODEL, id=model_id)
            theirs(store, model_id)
        self.removed.logged_models += 1

    def _experiment(self, theirs: Remove, store: Any, experiment_id: str) -> None:
        number = int(experiment_id)
        with store.ManagedSessionMaker(read_only=False) as session:
            # Whoever restores it from here on waits until it has gone.
            why = rows.why_it_stays(session.connection(), number, lock=not self._dry)
            if why is not None:
                self.removed.notes.append(f"experiment {number} stays: {why}")
                return
            for path in self._folders(number):
                self.clear(path)
            for archive in _archives(experiment_id):
                if other := self._unknown(archive, number):
                    self.removed.notes.append(
                        f"in {archive} are traces of others, as {other}: only its own are removed"
                    )
                else:
                    self.clear(archive)
            if self._dry:
                count = text("SELECT count(*) FROM trace_info WHERE experiment_id = :id")
                self.removed.traces += session.connection().scalar(count, {"id": number}) or 0
            else:
                self.removed.other_rows += rows.delete(self._engine, rows.EXPERIMENT, id=number)
                self._traces(experiment_id)
                with _joined(store, session):
                    theirs(store, experiment_id)
        self.removed.experiments += 1

    def _traces(self, experiment_id: str) -> None:
        """Delete its traces, with what is archived of them, which MLflow would leave."""
        far = 2**62
        while deleted := self._store.delete_traces(
            experiment_id, max_timestamp_millis=far, max_traces=TRACES
        ):
            self.removed.traces += deleted

    def _folders(self, experiment_id: int) -> Iterator[PurePosixPath]:
        """Yield where artifacts of an experiment are, and no others."""
        with self._engine.connect() as connection:
            of = {"id": experiment_id}
            own = connection.scalar(
                text("SELECT artifact_location FROM experiments WHERE experiment_id = :id"), of
            )
            things = [
                _path(uri) for query in (_RUNS, _MODELS) for _, uri in connection.execute(query, of)
            ]
        folder = _path(own or "")
        yield from (path for path in things if path is not None)
        if folder is None or not folder.parts:
            return
        if (others := self._of_others(folder, experiment_id)) is not None:
            self.removed.notes.append(
                f"experiment {experiment_id} shares its folder {folder} with others{others}: what "
                "is neither of its runs nor of its logged models stays"
            )
            return
        self._whole[folder] = experiment_id
        yield folder

    def _of_others(self, folder: PurePosixPath, experiment_id: int) -> str | None:
        """Return an example of what others may have in an experiment's folder; None: nothing."""
        with self._engine.connect() as connection:
            locations = connection.execute(_LOCATIONS, {"id": experiment_id})
            others = [_path(uri) for (uri,) in locations]
        if (
            folder.parts[0] == ARCHIVE
            # Among the artifacts of a run, perhaps of another experiment.
            or any(_THING.fullmatch(name) for name in folder.parts)
            or any(other and (other == folder or folder in other.parents) for other in others)
        ):
            return ""
        unknown = self._unknown(folder, experiment_id)
        return None if unknown is None else f", as {unknown}"

    def _unknown(self, folder: PurePosixPath, experiment_id: int) -> PurePosixPath | None:
        """Return a run, logged model or trace in a folder that the database does not have there.

        It is of another database whose servers have the same artifact store: all of them count
        their experiments from 1.
        """
        paths = {path.name: path for path in self._things(folder) if path not in self._seen}
        names = list(paths)
        with self._engine.connect() as connection:
            for at in range(0, len(names), NAMES):
                some = {"names": names[at : at + NAMES], "id": experiment_id}
                for (name,) in connection.execute(_UNKNOWN, some):
                    # MLflow's removal leaves empty folders, and MinIO lists some.
                    found = self._place.content(paths[name])
                    if found.objects or found.uploads:
                        return paths[name]
        return None

    def _things(self, folder: PurePosixPath) -> Iterator[PurePosixPath]:
        for above in (folder, folder / "models", folder / "traces"):
            for name in self._place.folders(above):
                if _THING.fullmatch(name):
                    yield above / name


class _Artifacts:
    """What MLflow removes the artifacts of one thing by."""

    def __init__(self, collection: Collection, path: PurePosixPath | None) -> None:
        self._collection = collection
        self._path = path

    def delete_artifacts(self) -> None:
        self._collection.clear(self._path)


def _bound(ours: Callable[..., None], theirs: Remove) -> Remove:
    def method(store: Any, identity: str) -> None:
        ours(theirs, store, identity)

    return method


@contextmanager
def _joined(store: Any, session: Any) -> Iterator[None]:
    """Have what the store does be of a transaction that has begun."""
    sessions = store.ManagedSessionMaker
    store.ManagedSessionMaker = lambda **_: nullcontext(session)
    try:
        yield
    finally:
        store.ManagedSessionMaker = sessions


def _archives(experiment_id: str) -> Iterator[PurePosixPath]:
    """Yield where archived traces of an experiment may be: with workspaces, in that of its own."""
    yield PurePosixPath(ARCHIVE, experiment_id)
    if workspace := get_request_workspace():
        yield PurePosixPath(ARCHIVE, WORKSPACES_DIR_NAME, workspace, experiment_id)


def _path(uri: str) -> PurePosixPath | None:
    """Return the folder of a run, a logged model or an experiment in the store; None: elsewhere."""
    parts = urlsplit(uri)
    path = PurePosixPath(parts.path.strip("/"))
    if parts.scheme != PROXIED or ".." in path.parts:
        return None
    return path.parent if _OF_ONE_THING.search(str(path)) else path
