"""Reading everything back after the load, with the real client, through the tracking address.

Each line of the file that is written says what one place holds: `kind`, `owner` and `items`, the
values found by key. `error` instead of items, and `unread` for single keys, say that it could
not be read. Judging needs this file and the history, and no server.
"""

import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import mlflow
from gevent.pool import Pool  # type: ignore[import-untyped]
from mlflow.entities import LoggedModel, Run
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from workloads.errors import summary
from workloads.history import Appender, Kind, Operation
from workloads.wire import REGISTRY, TOKEN_TAG, point, registered_prefix, sha256

T = TypeVar("T")

READERS = 6


class Reader:
    """Reads what a history speaks of, and whatever else is in the run's experiment."""

    def __init__(self, experiment_id: str, operations: Iterable[Operation], out: Path) -> None:
        self._experiment = experiment_id
        self._out = Appender(out)
        self._client = MlflowClient()
        self._metrics: dict[str, set[str]] = defaultdict(set)
        self._known_runs: set[str] = set()
        self._known_models: set[str] = set()
        self._known_registered: set[str] = set()
        self._with_files: set[str] = set()
        for operation in operations:
            self._note(operation)

    def read(self, progress: Callable[[int, int], None]) -> None:
        """Read all of it; `progress` gets the number of things read and of all."""
        runs = self._list(Kind.RUN, self._runs)
        models = self._list(Kind.MODEL, self._models)
        registered = self._list(Kind.REGISTERED, self._registered, REGISTRY)
        jobs: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            *((self._run, (i, runs.get(i))) for i in sorted(self._known_runs | set(runs))),
            *((self._model, (i, models.get(i))) for i in sorted(self._known_models | set(models))),
            *((self._versions, (n,)) for n in sorted(self._known_registered | set(registered))),
        ]
        for done, _ in enumerate(Pool(READERS).imap_unordered(_call, jobs), 1):
            progress(done, len(jobs))
        self._out.close()

    def _note(self, operation: Operation) -> None:
        kinds = {write.kind for write in operation.writes}
        if operation.created and Kind.RUN in kinds:
            self._known_runs.add(operation.created)
        if operation.created and Kind.MODEL in kinds:
            self._known_models.add(operation.created)
        for write in operation.writes:
            owner_id = write.owner or operation.created
            if write.kind is Kind.METRIC and owner_id:
                self._metrics[owner_id].add(sys.intern(write.key))
            if write.kind is Kind.REGISTERED:
                self._known_registered.add(write.key)
            if write.kind is Kind.ARTIFACT and owner_id:
                self._with_files.add(owner_id)

    def _list(
        self,
        kind: Kind,
        find: Callable[[], Iterator[tuple[str, str, Any]]],
        owner_id: str | None = None,
    ) -> Any:
        owner_id = owner_id or self._experiment
        found: dict[str, Any] = {}
        items: dict[str, list[str]] = defaultdict(list)
        try:
            for key, identity, thing in find():
                items[key].append(identity)
                found[identity] = thing
        except Exception as error:
            self._write(kind, owner_id, error=error)
        else:
            self._write(kind, owner_id, items)
        return found

    def _runs(self) -> Iterator[tuple[str, str, Run]]:
        token = None
        while token is None or token:
            page = self._client.search_runs([self._experiment], max_results=500, page_token=token)
            for run in page:
                yield run.data.tags.get(TOKEN_TAG, ""), run.info.run_id, run
            token = page.token or ""

    def _models(self) -> Iterator[tuple[str, str, LoggedModel]]:
        token = None
        while token is None or token:
            page = self._client.search_logged_models(
                [self._experiment], max_results=50, page_token=token
            )
            for model in page:
                yield f"{model.source_run_id or ''}/{model.name}", model.model_id, model
            token = page.token or ""

    def _registered(self) -> Iterator[tuple[str, str, RegisteredModel]]:
        token = None
        by = f"name LIKE '{registered_prefix(self._experiment)}%'"
        while token is None or token:
            page = self._client.search_registered_models(by, max_results=500, page_token=token)
            for model in page:
                yield model.name, model.name, model
            token = page.token or ""

    def _versions(self, name: str) -> None:
        """Read a registered model with its aliases and versions."""
        try:
            model = _or_none(lambda: self._client.get_registered_model(name))
            versions = list(self._versions_of(name)) if model else []
        except Exception as error:
            for kind in (Kind.TAG, Kind.ALIAS, Kind.VERSION):
                self._write(kind, name, error=error)
            return
        self._write(Kind.TAG, name, {k: [v] for k, v in (model.tags if model else {}).items()})
        aliases = model.aliases if model else {}
        self._write(Kind.ALIAS, name, {alias: [str(v)] for alias, v in aliases.items()})
        items: dict[str, list[str]] = defaultdict(list)
        for version in versions:
            identity = f"{name}/{version.version}"
            items[version.tags.get(TOKEN_TAG, "")].append(identity)
            self._write(Kind.TAG, identity, {k: [v] for k, v in version.tags.items()})
        self._write(Kind.VERSION, name, items)

    def _versions_of(self, name: str) -> Iterator[ModelVersion]:
        token = None
        while token is None or token:
            page = self._client.search_model_versions(
                f"name = '{name}'", max_results=500, page_token=token
            )
            yield from page
            token = page.token or ""

    def _run(self, run_id: str, run: Run | None) -> None:
        kinds = (Kind.STATUS, Kind.PARAM, Kind.TAG, Kind.DATASET, Kind.OUTPUT)
        try:
            # A run that the search did not show may still be there.
            run = run or _or_none(lambda: self._client.get_run(run_id))
        except Exception as error:
            for kind in (*kinds, Kind.METRIC, Kind.ARTIFACT):
                self._write(kind, run_id, error=error)
            return
        if run is None:
            for kind in (*kinds, Kind.METRIC, Kind.ARTIFACT):
                self._write(kind, run_id, {})
            return
        self._write(Kind.STATUS, run_id, {"status": [run.info.status]})
        self._write(Kind.PARAM, run_id, {k: [v] for k, v in run.data.params.items()})
        self._write(Kind.TAG, run_id, {k: [v] for k, v in run.data.tags.items()})
        sets: dict[str, list[str]] = defaultdict(list)
        for used in run.inputs.dataset_inputs if run.inputs else []:
            sets[used.dataset.name].append(used.dataset.digest)
        self._write(Kind.DATASET, run_id, sets)
        outputs = run.outputs.model_outputs if run.outputs else []
        self._write(Kind.OUTPUT, run_id, {o.model_id: [str(o.step)] for o in outputs})
        self._curves(run_id, run)
        if run_id in self._with_files:
            self._files(run_id, run.info.artifact_uri or "")

    def _curves(self, run_id: str, run: Run) -> None:
        items: dict[str, list[str]] = {}
        unread: dict[str, str] = {}
        for key in sorted(self._metrics[run_id] | set(run.data.metrics)):
            try:
                points = self._client.get_metric_history(run_id, key)
            except Exception as error:
                unread[key] = summary(error)
            else:
                items[key] = [point(p.step, p.timestamp, p.value) for p in points]
        self._write(Kind.METRIC, run_id, items, unread)

    def _model(self, model_id: str, model: LoggedModel | None) -> None:
        kinds = (Kind.STATUS, Kind.PARAM, Kind.TAG)
        try:
            model = model or _or_none(lambda: self._client.get_logged_model(model_id))
        except Exception as error:
            for kind in (*kinds, Kind.ARTIFACT):
                self._write(kind, model_id, error=error)
            return
        if model is None:
            for kind in (*kinds, Kind.ARTIFACT):
                self._write(kind, model_id, {})
            return
        self._write(Kind.STATUS, model_id, {"status": [str(model.status)]})
        self._write(Kind.PARAM, model_id, {k: [v] for k, v in (model.params or {}).items()})
        self._write(Kind.TAG, model_id, {k: [v] for k, v in (model.tags or {}).items()})
        self._files(model_id, model.artifact_location)

    def _files(self, owner_id: str, uri: str) -> None:
        """Download every artifact below `uri` and keep its SHA-256."""
        items: dict[str, list[str]] = {}
        unread: dict[str, str] = {}
        try:
            listed = list(_walk(uri, ""))
        except Exception as error:
            self._write(Kind.ARTIFACT, owner_id, error=error)
            return
        if listed:
            with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as folder:
                failed = "not there after the download"
                try:
                    mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
                except Exception as error:
                    failed = summary(error)
                # The root itself comes as a folder of its own name.
                root = Path(folder) / uri.rstrip("/").rsplit("/", 1)[-1]
                for path in listed:
                    if (file := root / path).is_file():
                        with file.open("rb") as data:
                            items[path] = [sha256(data)]
                    else:
                        unread[path] = failed
        self._write(Kind.ARTIFACT, owner_id, items, unread)

    def _write(
        self,
        kind: Kind,
        owner_id: str,
        items: dict[str, list[str]] | None = None,
        unread: dict[str, str] | None = None,
        error: Exception | None = None,
    ) -> None:
        self._out.append(
            {
                "kind": kind,
                "owner": owner_id,
                "items": items or {},
                "unread": unread or {},
                "error": summary(error) if error else None,
            }
        )


def _call(job: tuple[Callable[..., None], tuple[Any, ...]]) -> None:
    job[0](*job[1])


def _walk(root: str, folder: str) -> Iterator[str]:
    uri = f"{root.rstrip('/')}/{folder}" if folder else root
    for found in mlflow.artifacts.list_artifacts(artifact_uri=uri):
        path = f"{folder}/{found.path.rsplit('/', 1)[-1]}".lstrip("/")
        if found.is_dir:
            yield from _walk(root, path)
        else:
            yield path


def _or_none(get: Callable[[], T]) -> T | None:
    try:
        return get()
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
