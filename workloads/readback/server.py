"""Everything that a run wrote, read through one tracking server: a replica, or the address."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import gevent  # type: ignore[import-untyped]
import requests
from gevent.pool import Pool  # type: ignore[import-untyped]
from mlflow.entities import LoggedModel, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from workloads import error_summary
from workloads.history.history import Kind
from workloads.history.wire import REGISTRY, model_point, point
from workloads.readback import evaluation
from workloads.readback.archive import Archive
from workloads.readback.attempted import Attempted
from workloads.readback.lines import (
    MODEL_KINDS,
    NAMED_KINDS,
    READ,
    REGISTERED_KINDS,
    RUN_KINDS,
    Lines,
)
from workloads.readback.listing import Listing
from workloads.readback.traces import Traces

T = TypeVar("T")

READERS = 6
PATIENCE_S = 60.0
"""How long a server may take to answer at all; one that comes back from a fault starts anew."""

RUNS_AT_ONCE = 50
"""Runs of one request for the histories of a metric; the server takes 100."""

MOST_POINTS = 25_000
"""Points in one answer to it; the server gives no more, and does not say that it left some out."""

RUN_FIELDS = ("start_time", "end_time", "lifecycle_stage", "user_id")

BLOCK = 1 << 20


class Server:
    """Lists what there is in the run's experiment and reads it, and whatever else is attempted."""

    def __init__(
        self,
        uri: str,
        experiment_id: str,
        attempted: Attempted,
        archive: Archive,
        lines: Lines,
    ) -> None:
        self._uri = uri
        self._attempted = attempted
        self._archive = archive
        self._lines = lines
        self._listing = Listing(uri, experiment_id)
        self._client = self._listing.client

    def read(self, tick: Callable[[], None]) -> None:
        """Read all of it; `tick` is called for each run, logged model and registered model."""
        try:
            self._wait()
        except MlflowException as error:
            self._lines.begin(READ, error)
            return
        self._lines.begin(READ)
        experiment = self._listing.experiment_id
        runs = self._list(Kind.RUN, experiment, lambda: self._listing.runs(self._attempted.runs))
        models = self._list(Kind.MODEL, experiment, self._listing.models)
        registered = self._list(Kind.REGISTERED, REGISTRY, self._listing.registered)
        attempted = self._attempted
        all_runs = sorted(attempted.runs | set(runs))
        metrics = {i: attempted.metrics.get(i, set()) for i in all_runs}
        jobs: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            *((self._run, (i, runs.get(i), metrics)) for i in all_runs),
            *((self._model, (i, models.get(i))) for i in sorted(attempted.models | set(models))),
            *((self._versions, (n,)) for n in sorted(attempted.registered | set(registered))),
            *((self._experiment, (i, keys)) for i, keys in sorted(attempted.experiments.items())),
        ]
        pool = Pool(READERS)
        for _ in pool.imap_unordered(_call, jobs):
            tick()
        for read in EVALUATION:
            pool.spawn(read, self._client, experiment, attempted, self._lines)
        chunks = (all_runs[at : at + RUNS_AT_ONCE] for at in range(0, len(all_runs), RUNS_AT_ONCE))
        list(pool.imap_unordered(lambda chunk: self._curves(chunk, metrics), chunks))
        infos = Traces(self._listing, self._get, attempted, self._archive, self._lines).read()
        for trace_id in sorted(attempted.with_files & attempted.traces.keys()):
            info = infos.get(trace_id)
            self._files(trace_id, info.tags.get("mlflow.artifactLocation", "") if info else "")
        pool.join()

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self._get("/health", timeout=5, max_retries=0, raise_on_status=False)
            except MlflowException:
                if time.monotonic() > deadline:
                    raise
                gevent.sleep(0.5)
            else:
                return

    def _list(
        self, kind: Kind, owner: str, find: Callable[[], Iterator[tuple[str, str, Any]]]
    ) -> Any:
        by_id: dict[str, Any] = {}
        items: dict[str, list[str]] = defaultdict(list)
        try:
            for key, identity, entity in find():
                items[key].append(identity)
                by_id[identity] = entity
        except Exception as error:
            self._lines.add(kind, owner, error=error)
        else:
            self._lines.add(kind, owner, items)
        return by_id

    def _versions(self, name: str) -> None:
        """Read a registered model with its aliases and versions."""
        lines = self._lines
        try:
            model = _or_none(lambda: self._listing.registered_model(name))
            versions = list(self._listing.versions(name)) if model else []
        except Exception as error:
            for kind in REGISTERED_KINDS:
                lines.add(kind, name, error=error)
            return
        lines.add(Kind.FIELD, name, _fields(model, "description"))
        lines.add(Kind.TAG, name, {k: [v] for k, v in (model._tags if model else {}).items()})
        aliases = model.aliases if model else {}
        lines.add(Kind.ALIAS, name, {alias: [str(v)] for alias, v in aliases.items()})
        items: dict[str, list[str]] = defaultdict(list)
        absent = set(self._attempted.versions.get(name, ()))
        for token, identity, version in versions:
            items[token].append(identity)
            absent.discard(identity)
            lines.add(Kind.TAG, identity, {k: [v] for k, v in version.tags.items()})
            fields = _fields(version, "description", "source", "run_id", "run_link")
            lines.add(Kind.FIELD, identity, fields)
        for identity in sorted(absent):
            for kind in NAMED_KINDS:
                lines.add(kind, identity)
        lines.add(Kind.VERSION, name, items)

    def _experiment(self, experiment_id: str, keys: set[str]) -> None:
        """Read an experiment's name and those of its tags."""
        try:
            experiment = _or_none(lambda: self._client.get_experiment(experiment_id))
        except Exception as error:
            for kind in NAMED_KINDS:
                self._lines.add(kind, experiment_id, error=error)
            return
        tags = {k: [v] for k, v in (experiment.tags if experiment else {}).items() if k in keys}
        self._lines.add(Kind.FIELD, experiment_id, _fields(experiment, "name"))
        self._lines.add(Kind.TAG, experiment_id, tags)

    def _run(self, run_id: str, run: Run | None, metrics: dict[str, set[str]]) -> None:
        """Read a run, without its curves; its metrics' keys are added to `metrics`."""
        lines = self._lines
        kinds = [kind for kind in RUN_KINDS if kind is not Kind.METRIC]
        try:
            # A run that the search did not show may still be there.
            run = run or _or_none(lambda: self._client.get_run(run_id))
        except Exception as error:
            for kind in (*kinds, Kind.ARTIFACT):
                lines.add(kind, run_id, error=error)
            return
        if run is None:
            for kind in (*kinds, Kind.ARTIFACT):
                lines.add(kind, run_id)
            return
        lines.add(Kind.STATUS, run_id, {"status": [run.info.status]})
        lines.add(Kind.FIELD, run_id, _fields(run.info, *RUN_FIELDS, name=run.info.run_name))
        lines.add(Kind.PARAM, run_id, {k: [v] for k, v in run.data.params.items()})
        lines.add(Kind.TAG, run_id, {k: [v] for k, v in run.data.tags.items()})
        sets: dict[str, list[str]] = defaultdict(list)
        for used in run.inputs.dataset_inputs if run.inputs else []:
            sets[used.dataset.name].append(used.dataset.digest)
        lines.add(Kind.DATASET, run_id, sets)
        outputs = run.outputs.model_outputs if run.outputs else []
        lines.add(Kind.OUTPUT, run_id, {o.model_id: [str(o.step)] for o in outputs})
        latest = {p.key: [point(p.step, p.timestamp, p.value)] for p in run.data._metric_objs}
        lines.add(Kind.LATEST, run_id, latest)
        metrics[run_id] = metrics[run_id] | set(run.data.metrics)
        if run_id in self._attempted.with_files:
            self._files(run_id, run.info.artifact_uri or "")

    def _curves(self, run_ids: list[str], metrics: dict[str, set[str]]) -> None:
        """Read every point of every metric of some runs."""
        items: dict[str, dict[str, list[str]]] = {run_id: {} for run_id in run_ids}
        unread: dict[str, dict[str, str]] = {run_id: {} for run_id in run_ids}
        for key in sorted(set().union(*(metrics[run_id] for run_id in run_ids))):
            having = [run_id for run_id in run_ids if key in metrics[run_id]]
            try:
                points = self._points(key, having)
            except Exception as error:
                for run_id in having:
                    unread[run_id][key] = error_summary(error)
            else:
                for run_id in having:
                    items[run_id][key] = points[run_id]
        for run_id in run_ids:
            self._lines.add(Kind.METRIC, run_id, items[run_id], unread[run_id])

    def _points(self, key: str, run_ids: list[str]) -> dict[str, list[str]]:
        """Return the points of a metric by run, as the web interface asks for them: in bulk."""
        answer = self._get(
            "/ajax-api/2.0/mlflow/metrics/get-history-bulk",
            params={"metric_key": key, "run_id": run_ids, "max_results": MOST_POINTS},
        )
        listed = answer.json().get("metrics", []) if answer.ok else []
        curves: dict[str, list[str]] = {run_id: [] for run_id in run_ids}
        if answer.ok and len(listed) < MOST_POINTS:
            for row in listed:
                value = point(int(row["step"]), int(row["timestamp"]), float(row["value"]))
                curves[row["run_id"]].append(value)
            return curves
        # Too many for one answer, or a server without this route: one curve after another.
        for run_id in run_ids:
            history = _or_none(lambda run_id=run_id: self._client.get_metric_history(run_id, key))  # type: ignore[misc]
            curves[run_id] = [point(p.step, p.timestamp, p.value) for p in history or []]
        return curves

    def _model(self, model_id: str, model: LoggedModel | None) -> None:
        lines = self._lines
        try:
            model = model or _or_none(lambda: self._client.get_logged_model(model_id))
        except Exception as error:
            for kind in (*MODEL_KINDS, Kind.ARTIFACT):
                lines.add(kind, model_id, error=error)
            return
        if model is None:
            for kind in (*MODEL_KINDS, Kind.ARTIFACT):
                lines.add(kind, model_id)
            return
        lines.add(Kind.STATUS, model_id, {"status": [str(model.status)]})
        lines.add(Kind.FIELD, model_id, _fields(model, "model_type"))
        lines.add(Kind.PARAM, model_id, {k: [v] for k, v in (model.params or {}).items()})
        lines.add(Kind.TAG, model_id, {k: [v] for k, v in (model.tags or {}).items()})
        metrics: dict[str, list[str]] = defaultdict(list)
        for one in model.metrics or []:
            key, value = model_point(dict(one), one.run_id or "")
            metrics[key].append(value)
        lines.add(Kind.MODEL_METRIC, model_id, metrics)
        self._files(model_id, model.artifact_location)

    def _files(self, owner_id: str, uri: str) -> None:
        """Fetch every artifact below `uri` from this server and keep its SHA-256."""
        parts = urlsplit(uri)
        if parts.scheme != "mlflow-artifacts":
            # Clients wrote to the store themselves: no upload is in the history.
            return
        items: dict[str, list[str]] = {}
        unread: dict[str, str] = {}
        root = parts.path.strip("/")
        try:
            listed = list(self._walk(root, ""))
        except Exception as error:
            self._lines.add(Kind.ARTIFACT, owner_id, error=error)
            return
        for path in listed:
            try:
                items[path] = [self._sha256(f"{root}/{path}")]
            except Exception as error:
                unread[path] = error_summary(error)
        self._lines.add(Kind.ARTIFACT, owner_id, items, unread)

    def _walk(self, root: str, folder: str) -> Iterator[str]:
        answer = self._get(_ARTIFACTS, params={"path": f"{root}/{folder}".rstrip("/")})
        _expect(answer)
        for entry in answer.json().get("files", []):
            path = f"{folder}/{entry['path'].rsplit('/', 1)[-1]}".lstrip("/")
            if entry["is_dir"]:
                yield from self._walk(root, path)
            else:
                yield path

    def _sha256(self, path: str) -> str:
        digest = hashlib.sha256()
        with self._get(f"{_ARTIFACTS}/{quote(path)}", stream=True) as answer:
            _expect(answer)
            for block in answer.iter_content(BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def _get(self, endpoint: str, **options: Any) -> requests.Response:
        """Ask with the client's own credentials and retries."""
        creds = get_default_host_creds(self._uri)  # type: ignore[no-untyped-call]
        answer: requests.Response = http_request(creds, endpoint, "GET", **options)  # type: ignore[no-untyped-call]
        return answer


EVALUATION = (
    evaluation.read_assessments,
    evaluation.read_datasets,
    evaluation.read_prompt_links,
)

_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def _fields(entity: Any, *names: str, **others: str | None) -> dict[str, list[str]]:
    """Return the entity's attributes of these names, and `others`, without those that are empty."""
    values = others | {name: getattr(entity, name, None) for name in names}
    return {name: [str(value)] for name, value in values.items() if value not in (None, "")}


def _expect(answer: requests.Response) -> None:
    if not answer.ok:
        raise MlflowException(f"HTTP {answer.status_code}: {answer.text[:200]}")


def _call(job: tuple[Callable[..., None], Iterable[Any]]) -> None:
    job[0](*job[1])


def _or_none(get: Callable[[], T]) -> T | None:
    try:
        return get()
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
