"""What the answer to a read showed, packed so that a history can hold it.

A sighting is `[scope, owner, key, packed]`: which of an owner's things an answer shows all of, and
the CRC-32 of each one's kind, key and value; `packed` is None where the server said that there is
no such owner. The scopes:

- `run`, `model`, `version`, `registered`: an owner with what belongs to it, curves left out;
- `curve`: every point of the metric `key` of a run; `alias`: the version that the alias `key` has;
- `file`: the content of the artifact `key`; `experiment`: a name, and tags;
- `list`: ids of the runs of an experiment that begin after `key`, in ms;
- `versions`: ids of all versions of a registered model;
- `files`: names in the folder `key` of an owner's artifacts;
- `trace`: a trace's tags; `spans`: ids of all its spans.
"""

import json
import re
import zlib
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

from workloads.history import wire
from workloads.history.history import Kind
from workloads.history.trace_effects import tag

Sighting = list[Any]

SHOWS: dict[str, frozenset[Kind]] = {
    "run": frozenset({Kind.STATUS, Kind.FIELD, Kind.PARAM, Kind.TAG, Kind.LATEST}),
    "model": frozenset({Kind.STATUS, Kind.FIELD, Kind.PARAM, Kind.TAG}),
    "version": frozenset({Kind.FIELD, Kind.TAG}),
    "registered": frozenset({Kind.FIELD, Kind.TAG, Kind.ALIAS}),
    "curve": frozenset({Kind.METRIC}),
    "alias": frozenset({Kind.ALIAS}),
    "file": frozenset({Kind.ARTIFACT}),
    "experiment": frozenset({Kind.FIELD, Kind.TAG}),
    "trace": frozenset({Kind.TAG}),
}
"""Kinds of things that a scope shows all of."""

_TRACE = "GET traces/{id}"
_RUN_FIELDS = ("start_time", "end_time", "lifecycle_stage", "user_id")
_VERSION_FIELDS = ("description", "source", "run_id", "run_link")

_FOLDER = re.compile(r"(?P<root>.+?)/artifacts(?:/(?P<below>.+))?")
_ALL_VERSIONS = re.compile(r"\s*name\s*=\s*'(?P<name>[^']+)'\s*")
_NO_TRACE = re.compile(r"Trace with ID \S+ (is )?not found")
_NO_ALIAS = re.compile(r"Registered model alias .* not found")

SEARCHED_AT_MOST = 1000
"""Runs that a search gives when it is not told how many."""


def digest(kind: Kind, key: str, value: str) -> int:
    """Return what stands for a thing in a sighting."""
    return zlib.crc32("\0".join((kind, key, value)).encode())


def unpacked(packed: str) -> frozenset[int]:
    """Return the digests of a sighting."""
    return frozenset(array("I", b64decode(packed)))


def named(name: str) -> int:
    """Return what stands for an id or a file's name in a list."""
    return zlib.crc32(name.encode())


def file(owner: str, path: str, sha256: str) -> Sighting:
    """Return what a download showed."""
    return ["file", owner, path, _packed([digest(Kind.ARTIFACT, path, sha256)])]


def looks_at(name: str) -> bool:
    """Whether answers to calls of this name show something."""
    return name in _LOOKS


def asked(name: str, path: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of a call, with what its route says of them."""
    return {"trace_id": path.split("/")[1]} if name == _TRACE else parameters


def seen(
    name: str, asked: dict[str, Any], status: int, answer: bytes, experiment_id: str
) -> list[Sighting]:
    """Return what an answer showed, of the things that a run's own history can tell about.

    `name` is that of the call, `asked` its parameters. Runs and traces of other experiments are
    left out: they may be many, and were not made by this run.
    """
    if name == "POST runs/search" and asked.get("experiment_ids") != [experiment_id]:
        return []
    if name == "POST traces/search" and experiment_id not in _experiments(asked):
        return []
    try:
        body = json.loads(answer)
        if status == 200:
            return list(_LOOKS[name](asked | {"experiment_id": experiment_id}, body))
        return list(_absent(name, asked, body)) if status in (400, 404) else []
    except (ValueError, KeyError, TypeError, AttributeError):
        return []  # no answer of MLflow's; its client says so


def _absent(name: str, asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    none = body.get("error_code") == "RESOURCE_DOES_NOT_EXIST"
    match name:
        case "GET runs/get" if none:
            yield ["run", asked["run_id"], "", None]
        case "GET model-versions/get" if none:
            yield ["version", f"{asked['name']}/{asked['version']}", "", None]
        case "GET registered-models/get" if none:
            yield ["registered", asked["name"], "", None]
        case "GET registered-models/alias" if _NO_ALIAS.search(body.get("message", "")):
            yield ["alias", asked["name"], asked["alias"], _packed([])]
        case "GET traces/{id}" | "GET traces/get" if _NO_TRACE.search(body.get("message", "")):
            yield ["trace", asked["trace_id"], "", None]


def _packed(digests: list[int]) -> str:
    return b64encode(array("I", digests)).decode()


def _fields(thing: dict[str, Any], names: tuple[str, ...]) -> list[int]:
    return [digest(Kind.FIELD, n, str(thing[n])) for n in names if thing.get(n) not in (None, "")]


def _tags(tags: list[dict[str, Any]]) -> list[int]:
    return [digest(Kind.TAG, tag["key"], tag.get("value", "")) for tag in tags]


def _params(params: list[dict[str, Any]]) -> list[int]:
    return [digest(Kind.PARAM, one["key"], one.get("value", "")) for one in params]


def _point(metric: dict[str, Any]) -> str:
    step, timestamp_ms = int(metric.get("step", 0)), int(metric["timestamp"])
    return wire.point(step, timestamp_ms, float(metric["value"]))


def _run(run: dict[str, Any]) -> Sighting:
    info, data = run["info"], run.get("data", {})
    digests = [digest(Kind.STATUS, "status", info["status"]), *_fields(info, _RUN_FIELDS)]
    if name := info.get("run_name"):
        digests.append(digest(Kind.FIELD, "name", name))
    digests += _params(data.get("params", []))
    digests += _tags(data.get("tags", []))
    digests += [digest(Kind.METRIC, m["key"], _point(m)) for m in data.get("metrics", [])]
    return ["run", info["run_id"], "", _packed(digests)]


def _get_run(asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    if body["run"]["info"]["experiment_id"] == asked["experiment_id"]:
        yield _run(body["run"])


def _search_runs(asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    runs = body.get("runs", [])
    yield from map(_run, runs)
    plain = not any(asked.get(key) for key in ("filter", "order_by", "page_token"))
    active = asked.get("run_view_type", "ACTIVE_ONLY") == "ACTIVE_ONLY"
    if plain and active:
        # Newest first: whatever began after the last one of a full page is on it.
        full = len(runs) >= int(asked.get("max_results", SEARCHED_AT_MOST))
        since = min(int(run["info"]["start_time"]) for run in runs) if full else 0
        ids = [named(run["info"]["run_id"]) for run in runs]
        yield ["list", asked["experiment_id"], since, _packed(ids)]


def _curve(asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    """A whole curve: the client asks for it in pages."""
    points, most = body.get("metrics", []), asked.get("max_results")
    if asked.get("page_token") or body.get("next_page_token") or (most and len(points) >= most):
        return
    key = asked["metric_key"]
    digests = [digest(Kind.METRIC, key, _point(one)) for one in points]
    yield ["curve", asked["run_id"], key, _packed(digests)]


def _version(version: dict[str, Any]) -> Sighting:
    digests = [*_fields(version, _VERSION_FIELDS), *_tags(version.get("tags", []))]
    return ["version", f"{version['name']}/{version['version']}", "", _packed(digests)]


def _get_version(_: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    yield _version(body["model_version"])


def _search_versions(asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    versions = [_version(version) for version in body.get("model_versions", [])]
    yield from versions
    all_of = _ALL_VERSIONS.fullmatch(asked.get("filter", ""))
    if all_of and not asked.get("page_token") and not body.get("next_page_token"):
        yield ["versions", all_of["name"], "", _packed([named(owner) for _, owner, *_ in versions])]


def _alias(asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    version = body["model_version"]
    is_of = digest(Kind.ALIAS, asked["alias"], str(version["version"]))
    yield ["alias", asked["name"], asked["alias"], _packed([is_of])]
    yield _version(version)


def _registered(model: dict[str, Any]) -> Sighting:
    digests = [*_fields(model, ("description",)), *_tags(model.get("tags", []))]
    aliases = model.get("aliases", [])
    digests += [digest(Kind.ALIAS, one["alias"], str(one["version"])) for one in aliases]
    return ["registered", model["name"], "", _packed(digests)]


def _get_registered(_: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    yield _registered(body["registered_model"])


def _search_registered(_: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    yield from map(_registered, body.get("registered_models", []))


def _model(model: dict[str, Any]) -> Sighting:
    info = model["info"]
    status = info["status"].rsplit("_", 1)[-1]
    digests = [digest(Kind.STATUS, "status", status), *_fields(info, ("model_type",))]
    digests += _tags(info.get("tags", []))
    digests += _params(model.get("data", {}).get("params", []))
    return ["model", info["model_id"], "", _packed(digests)]


def _get_model(_: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    yield _model(body["model"])


def _search_models(_: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    yield from map(_model, body.get("models", []))


def _experiment(_: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    experiment = body["experiment"]
    digests = [*_fields(experiment, ("name",)), *_tags(experiment.get("tags", []))]
    yield ["experiment", experiment["experiment_id"], "", _packed(digests)]


def _files(asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    if place := _FOLDER.fullmatch(asked.get("path", "")):
        names = [named(file["path"].rsplit("/", 1)[-1]) for file in body.get("files", [])]
        yield ["files", wire.owner(place["root"]), place["below"] or "", _packed(names)]


def _experiments(asked: dict[str, Any]) -> set[str]:
    """Return the experiments that a search for traces is about."""
    places = asked.get("locations") or []
    return {place.get("mlflow_experiment", {}).get("experiment_id", "") for place in places}


def _trace(info: dict[str, Any], experiment_id: str) -> Iterator[Sighting]:
    place = info["trace_location"].get("mlflow_experiment", {})
    if place.get("experiment_id") == experiment_id:
        tags = info.get("tags", {})
        digests = [digest(Kind.TAG, key, tag(value)) for key, value in tags.items()]
        yield ["trace", info["trace_id"], "", _packed(digests)]


def _whole_trace(trace: dict[str, Any], experiment_id: str) -> Iterator[Sighting]:
    for shown in _trace(trace["trace_info"], experiment_id):
        yield shown
        ids = [b64decode(span["span_id"]).hex() for span in trace.get("spans", [])]
        yield ["spans", shown[1], "", _packed([named(f"{one:0>16}") for one in ids])]


def _get_info(asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    yield from _trace(body["trace"]["trace_info"], asked["experiment_id"])


def _get_trace(asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    yield from _whole_trace(body["trace"], asked["experiment_id"])


def _get_traces(asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    for trace in body.get("traces", []):
        yield from _whole_trace(trace, asked["experiment_id"])


def _search_traces(asked: dict[str, Any], body: dict[str, Any]) -> Iterator[Sighting]:
    for info in body.get("traces", []):
        yield from _trace(info, asked["experiment_id"])


_LOOKS = {
    "GET artifacts": _files,
    "GET experiments/get": _experiment,
    "GET experiments/get-by-name": _experiment,
    "GET runs/get": _get_run,
    "POST runs/search": _search_runs,
    "GET metrics/get-history": _curve,
    "GET model-versions/get": _get_version,
    "GET model-versions/search": _search_versions,
    "GET registered-models/alias": _alias,
    "GET registered-models/get": _get_registered,
    "GET registered-models/search": _search_registered,
    "GET logged-models/{id}": _get_model,
    "POST logged-models/search": _search_models,
    _TRACE: _get_info,
    "GET traces/get": _get_trace,
    "GET traces/batchGet": _get_traces,
    "POST traces/search": _search_traces,
}
