"""What each call of MLflow's REST API asks the server to keep, read from the request itself.

A route that is not known here may change anything: what it did is in no audit, and is counted.
Routes and fields: MLflow's REST API reference and the protocol files of the pinned release.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from workloads.history import evaluation_effects, trace_effects, wire
from workloads.history.history import Kind, Write

Body = dict[str, Any]

REGISTRY = wire.REGISTRY
RUN_NAME = "mlflow.runName"
"""Tag that the server keeps equal to a run's name."""

RENAMED = "renamed"
"""Key of the deletion that is none: what belongs to this owner came with a name that it has now."""

READ_BY_POST = frozenset(
    {
        "POST artifacts/presigned-download-url",
        "POST artifacts/presigned-upload-url",
        "POST datasets/search",
        "POST experiments/search",
        "POST experiments/search-datasets",
        "POST issues/search",
        "POST logged-models/search",
        "POST prompt-optimization/jobs/search",
        "POST registered-models/get-latest-versions",
        "POST runs/search",
        "POST traces/batchGetInfos",
        "POST traces/calculate-filter-correlation",
        "POST traces/metrics",
        "POST traces/search",
        "POST webhooks/{id}/test",
        # A part of an upload is no artifact before the upload is complete.
        "POST artifacts/mpu/create",
        "POST artifacts/mpu/abort",
    }
)
"""Calls that change nothing that is kept, although they are no GET."""


@dataclass(frozen=True)
class Asked:
    """What a call wants kept, and what of it nobody audits, by route and field."""

    writes: list[Write] = field(default_factory=list)
    not_audited: list[str] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        """Whether the server may be another one after it."""
        return bool(self.writes or self.not_audited)


def asked(
    method: str, path: str, body: Body, data: Any, headers: Mapping[str, Any] | None = None
) -> Asked:
    """Return what a call asks to be kept.

    `path` is that of `wire.route`, `body` the JSON body ({} if none), `data` the raw body or an
    open file (an artifact).
    """
    method = method.upper()
    name = wire.name(method, path)
    if method in ("GET", "HEAD", "OPTIONS") or name in READ_BY_POST:
        return Asked()
    if artifact := wire.artifact(path):
        root, below = artifact
        if method == "PUT":
            kept = Write(Kind.ARTIFACT, wire.owner(root), below, wire.sha256(data))
            return Asked([kept])
    if name == trace_effects.EXPORT:
        return _exported(data, headers or {})
    if (known := _ROUTES.get(name)) is None:
        return Asked(not_audited=[name])
    left = [key for key, value in body.items() if value and key not in known.fields]
    if name == "POST registered-models/rename":
        left.append("what the model has")
    return Asked(list(known.writes(body, path)), [f"{name}: {key}" for key in sorted(left)])


def _exported(data: Any, headers: Mapping[str, Any]) -> Asked:
    """What an OTLP export asks for; of one in JSON nothing is known."""
    text = {key.lower(): _text(value) for key, value in headers.items() if value is not None}
    name = trace_effects.EXPORT
    if not isinstance(data, bytes) or "protobuf" not in text.get("content-type", ""):
        return Asked(not_audited=[f"{name}: not protobuf"])
    try:
        return Asked(list(trace_effects.of_export(data, text)))
    except (KeyError, ValueError):  # the server refuses it, too
        return Asked(not_audited=[f"{name}: not an export"])


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class _Route:
    writes: Callable[[Body, str], Iterator[Write]]
    fields: frozenset[str]


_ROUTES: dict[str, _Route] = {}

_Writes = Callable[[Body, str], Iterator[Write]]


def _route(*names: str, fields: str) -> Callable[[_Writes], _Writes]:
    """Say which routes a function is about, and which fields of the body it knows."""

    def register(writes: _Writes) -> _Writes:
        for name in names:
            _ROUTES[name] = _Route(writes, frozenset(fields.split()))
        return writes

    return register


def _run(body: Body) -> str:
    return str(body.get("run_id") or body["run_uuid"])


def _tags(owner: str | None, body: Body) -> Iterator[Write]:
    for tag in body.get("tags", []):
        yield Write(Kind.TAG, owner, tag["key"], tag.get("value", ""))


def _named(owner: str | None, name: str) -> Iterator[Write]:
    yield Write(Kind.FIELD, owner, "name", name)
    yield Write(Kind.TAG, owner, RUN_NAME, name)


def _run_tags(owner: str | None, tags: list[Body]) -> Iterator[Write]:
    """Tags of a run; that of its name is the name."""
    for tag in tags:
        key, value = tag["key"], tag.get("value", "")
        if key == RUN_NAME:
            yield from _named(owner, value)
        else:
            yield Write(Kind.TAG, owner, key, value)


def _described(owner: str | None, body: Body) -> Iterator[Write]:
    """A description; an empty one is none."""
    if "description" in body:
        yield Write(Kind.FIELD, owner, "description", body["description"] or None)


def _version(body: Body) -> str:
    return f"{body['name']}/{body['version']}"


@_route("POST runs/create", fields="experiment_id user_id start_time tags run_name")
def _create_run(body: Body, _: str) -> Iterator[Write]:
    tags = {tag["key"]: tag["value"] for tag in body.get("tags", [])}
    name = tags.pop(RUN_NAME, None) or body.get("run_name")
    yield Write(Kind.RUN, body["experiment_id"], tags.get(wire.TOKEN_TAG, ""), None)
    yield Write(Kind.STATUS, None, "status", "RUNNING")
    yield Write(Kind.FIELD, None, "lifecycle_stage", "active")
    for key in ("start_time", "user_id"):
        if body.get(key):
            yield Write(Kind.FIELD, None, key, str(body[key]))
    if name:  # without one the server makes one up
        yield from _named(None, name)
    for key, value in tags.items():
        yield Write(Kind.TAG, None, key, value)


@_route("POST runs/update", fields="run_id run_uuid status end_time run_name")
def _update_run(body: Body, _: str) -> Iterator[Write]:
    if "status" in body:
        yield Write(Kind.STATUS, _run(body), "status", body["status"])
    if "end_time" in body:
        yield Write(Kind.FIELD, _run(body), "end_time", str(body["end_time"]))
    if body.get("run_name"):
        yield from _named(_run(body), body["run_name"])


@_route("POST runs/delete", fields="run_id")
def _delete_run(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.FIELD, _run(body), "lifecycle_stage", "deleted")


@_route("POST runs/restore", fields="run_id")
def _restore_run(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.FIELD, _run(body), "lifecycle_stage", "active")


@_route("POST runs/log-batch", fields="run_id metrics params tags")
def _log_batch(body: Body, _: str) -> Iterator[Write]:
    run = _run(body)
    for param in body.get("params", []):
        yield Write(Kind.PARAM, run, param["key"], param.get("value", ""))
    for metric in body.get("metrics", []):
        yield from _metric(run, metric)
    yield from _run_tags(run, body.get("tags", []))


@_route("POST runs/log-parameter", fields="run_id run_uuid key value")
def _log_parameter(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.PARAM, _run(body), body["key"], body.get("value", ""))


@_route(
    "POST runs/log-metric",
    fields="run_id run_uuid key value timestamp step model_id dataset_name dataset_digest",
)
def _log_metric(body: Body, _: str) -> Iterator[Write]:
    yield from _metric(_run(body), body)


@_route("POST runs/set-tag", fields="run_id run_uuid key value")
def _set_run_tag(body: Body, _: str) -> Iterator[Write]:
    yield from _run_tags(_run(body), [body])


@_route("POST runs/delete-tag", fields="run_id key")
def _delete_run_tag(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.TAG, _run(body), body["key"], None)


@_route("POST runs/log-inputs", fields="run_id datasets")
def _log_inputs(body: Body, _: str) -> Iterator[Write]:
    for one in body.get("datasets", []):
        used = one["dataset"]
        yield Write(Kind.DATASET, _run(body), used["name"], used["digest"])


@_route("POST runs/outputs", fields="run_id models")
def _outputs(body: Body, _: str) -> Iterator[Write]:
    for model in body.get("models", []):
        yield Write(Kind.OUTPUT, _run(body), model["model_id"], str(model.get("step", 0)))


@_route("POST experiments/create", fields="name tags")
def _create_experiment(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.FIELD, None, "name", body["name"])
    yield from _tags(None, body)


@_route("POST experiments/update", fields="experiment_id new_name")
def _update_experiment(body: Body, _: str) -> Iterator[Write]:
    if "new_name" in body:
        yield Write(Kind.FIELD, body["experiment_id"], "name", body["new_name"])


@_route("POST experiments/set-experiment-tag", fields="experiment_id key value")
def _set_experiment_tag(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.TAG, body["experiment_id"], body["key"], body.get("value", ""))


@_route("POST experiments/delete-experiment-tag", fields="experiment_id key")
def _delete_experiment_tag(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.TAG, body["experiment_id"], body["key"], None)


@_route("POST logged-models", fields="experiment_id name model_type source_run_id params tags")
def _create_model(body: Body, _: str) -> Iterator[Write]:
    key = f"{body.get('source_run_id', '')}/{body.get('name', '')}"
    yield Write(Kind.MODEL, body["experiment_id"], key, None)
    yield Write(Kind.STATUS, None, "status", "PENDING")
    if body.get("model_type"):
        yield Write(Kind.FIELD, None, "model_type", body["model_type"])
    yield from _model_params(None, body)
    yield from _tags(None, body)


def _model_params(owner: str | None, body: Body) -> Iterator[Write]:
    for param in body.get("params", []):
        yield Write(Kind.PARAM, owner, param["key"], param.get("value", ""))


@_route("PATCH logged-models/{id}", fields="model_id status")
def _finalize_model(body: Body, path: str) -> Iterator[Write]:
    if "status" in body:
        yield Write(Kind.STATUS, wire.model_id(path), "status", body["status"].split("_")[-1])


@_route("POST logged-models/{id}/params", fields="model_id params")
def _log_model_params(body: Body, path: str) -> Iterator[Write]:
    yield from _model_params(wire.model_id(path), body)


@_route("PATCH logged-models/{id}/tags", fields="model_id tags")
def _set_model_tags(body: Body, path: str) -> Iterator[Write]:
    yield from _tags(wire.model_id(path), body)


@_route("DELETE logged-models/{id}/tags/{key}", fields="model_id tag_key")
def _delete_model_tag(_: Body, path: str) -> Iterator[Write]:
    yield Write(Kind.TAG, wire.model_id(path), path.split("/tags/", 1)[1], None)


@_route("DELETE logged-models/{id}", fields="model_id")
def _delete_model(_: Body, path: str) -> Iterator[Write]:
    yield Write(Kind.DELETION, wire.model_id(path), "", None)


@_route("POST registered-models/create", fields="name tags description")
def _create_registered(body: Body, _: str) -> Iterator[Write]:
    name = body["name"]
    yield Write(Kind.REGISTERED, REGISTRY, name, name)
    yield from _described(name, body)
    yield from _tags(name, body)


@_route("PATCH registered-models/update", fields="name description")
def _update_registered(body: Body, _: str) -> Iterator[Write]:
    yield from _described(body["name"], body)


@_route("DELETE registered-models/delete", fields="name")
def _delete_registered(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.DELETION, body["name"], "", None)
    yield Write(Kind.REGISTERED, REGISTRY, body["name"], None)


@_route("POST registered-models/rename", fields="name new_name")
def _rename_registered(body: Body, _: str) -> Iterator[Write]:
    """Only that there is the new name and not the old one: what it has is not followed."""
    old, new = body["name"], body["new_name"]
    yield Write(Kind.DELETION, old, "", None)
    yield Write(Kind.REGISTERED, REGISTRY, old, None)
    yield Write(Kind.REGISTERED, REGISTRY, new, new)
    yield Write(Kind.DELETION, new, RENAMED, None)


@_route("POST registered-models/set-tag", fields="name key value")
def _set_registered_tag(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.TAG, body["name"], body["key"], body.get("value", ""))


@_route("DELETE registered-models/delete-tag", fields="name key")
def _delete_registered_tag(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.TAG, body["name"], body["key"], None)


@_route("POST registered-models/alias", fields="name alias version")
def _set_alias(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.ALIAS, body["name"], body["alias"], str(body["version"]))


@_route("DELETE registered-models/alias", fields="name alias")
def _delete_alias(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.ALIAS, body["name"], body["alias"], None)


@_route("POST model-versions/create", fields="name source run_id run_link tags description")
def _create_version(body: Body, _: str) -> Iterator[Write]:
    tags = {tag["key"]: tag["value"] for tag in body.get("tags", [])}
    yield Write(Kind.VERSION, body["name"], tags.get(wire.TOKEN_TAG, ""), None)
    for key in ("source", "run_id", "run_link"):
        if body.get(key):
            yield Write(Kind.FIELD, None, key, body[key])
    yield from _described(None, body)
    yield from _tags(None, body)


@_route("PATCH model-versions/update", fields="name version description")
def _update_version(body: Body, _: str) -> Iterator[Write]:
    yield from _described(_version(body), body)


@_route("DELETE model-versions/delete", fields="name version")
def _delete_version(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.DELETION, _version(body), "", None)


@_route("POST model-versions/set-tag", fields="name version key value")
def _set_version_tag(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.TAG, _version(body), body["key"], body.get("value", ""))


@_route("DELETE model-versions/delete-tag", fields="name version key")
def _delete_version_tag(body: Body, _: str) -> Iterator[Write]:
    yield Write(Kind.TAG, _version(body), body["key"], None)


@_route("POST traces", fields="trace")
def _start_trace(body: Body, _: str) -> Iterator[Write]:
    if "trace" in body:  # the second version of the API has other fields
        yield from trace_effects.of_start(body["trace"]["trace_info"])


@_route("PATCH traces/{id}", fields="request_id timestamp_ms status request_metadata tags")
def _end_trace(body: Body, path: str) -> Iterator[Write]:
    yield from trace_effects.of_end(_trace(path), body)


@_route("PATCH traces/{id}/tags", fields="request_id trace_id key value")
def _set_trace_tag(body: Body, path: str) -> Iterator[Write]:
    yield Write(Kind.TAG, _trace(path), body["key"], trace_effects.tag(str(body.get("value", ""))))


@_route("DELETE traces/{id}/tags", fields="request_id trace_id key")
def _delete_trace_tag(body: Body, path: str) -> Iterator[Write]:
    yield Write(Kind.TAG, _trace(path), body["key"], None)


@_route("POST traces/delete-traces", fields="experiment_id request_ids")
def _delete_traces(body: Body, _: str) -> Iterator[Write]:
    yield from trace_effects.of_deletion(body)


@_route("POST traces/link-to-run", fields="trace_ids run_id")
def _link_traces(body: Body, _: str) -> Iterator[Write]:
    for trace_id in body.get("trace_ids", []):
        yield Write(Kind.LINK, body["run_id"], trace_id, trace_effects.LINKED)


@_route("POST traces/{id}/assessments", fields="assessment")
def _create_assessment(body: Body, path: str) -> Iterator[Write]:
    yield from evaluation_effects.of_create(path.split("/")[1], body["assessment"])


@_route("PATCH traces/{id}/assessments/{id}", fields="assessment update_mask")
def _update_assessment(body: Body, path: str) -> Iterator[Write]:
    trace_id, own_id = path.split("/")[1::2]
    yield from evaluation_effects.of_update(trace_id, own_id, body)


@_route("DELETE traces/{id}/assessments/{id}", fields="trace_id assessment_id")
def _delete_assessment(_: Body, path: str) -> Iterator[Write]:
    trace_id, own_id = path.split("/")[1::2]
    yield Write(Kind.DELETION, evaluation_effects.assessment_id(trace_id, own_id), "", None)


@_route("POST traces/link-prompts", fields="trace_id prompt_versions")
def _link_prompts(body: Body, _: str) -> Iterator[Write]:
    yield from evaluation_effects.of_prompt_links(body)


@_route("POST datasets/create", fields="name experiment_ids tags")
def _create_dataset(body: Body, _: str) -> Iterator[Write]:
    yield from evaluation_effects.of_dataset(body)


@_route("DELETE datasets/{id}", fields="dataset_id")
def _delete_dataset(_: Body, path: str) -> Iterator[Write]:
    yield Write(Kind.DELETION, path.split("/")[1], "", None)


@_route("PATCH datasets/{id}/tags", fields="dataset_id tags")
def _set_dataset_tags(body: Body, path: str) -> Iterator[Write]:
    yield from evaluation_effects.of_dataset_tags(path.split("/")[1], body)


@_route("DELETE datasets/{id}/tags/{key}", fields="dataset_id key")
def _delete_dataset_tag(_: Body, path: str) -> Iterator[Write]:
    yield Write(Kind.TAG, path.split("/")[1], path.split("/tags/", 1)[1], None)


@_route("POST datasets/{id}/records", fields="dataset_id records")
def _merge_records(body: Body, path: str) -> Iterator[Write]:
    yield from evaluation_effects.of_records(path.split("/")[1], body)


def _trace(path: str) -> str:
    return path.split("/")[1]


def _metric(run: str, metric: Body) -> Iterator[Write]:
    """A point of a run's curve; one that is of a logged model is kept there, too."""
    step, timestamp_ms = int(metric.get("step", 0)), int(metric["timestamp"])
    at = wire.point(step, timestamp_ms, float(metric["value"]))
    yield Write(Kind.METRIC, run, metric["key"], at)
    if model := metric.get("model_id"):
        yield Write(Kind.MODEL_METRIC, model, *wire.model_point(metric, run))
