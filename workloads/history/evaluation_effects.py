"""What the calls of those who judge agents ask the server to keep: assessments, evaluation
datasets and their records, links of prompts.

The same functions make values of what a server or PostgreSQL has, so that both are compared in one
form. Ids: an assessment's is below its trace's (`tr-…/a-…`), a record's below its dataset's
(`d-…/<SHA-256 of its inputs>`), as deletions take along what is below. Prompts themselves are
registered models with tags.
Rules: `create_assessment`, `update_assessment`, `delete_assessment` and `upsert_dataset_records` in
mlflow/store/tracking/sqlalchemy_store.py, 3.17.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from workloads.history import wire
from workloads.history.history import Kind, Write

Body = dict[str, Any]

OVERRIDES, VALID, SOURCE = "overrides", "valid", "record source"
"""Keys of fields: what an assessment overrides, whether nothing overrides it, where a record came
from when it was first merged (later ones are ignored)."""

PROMPTS = "prompts:/"
"""How the owner of a prompt's links begins: the link belongs to the trace, and a deletion of the
version leaves it."""

LINKED = "linked"
"""Value of a link that is there."""

NOWHERE = "no experiment"
"""Owner of a dataset that was created in none."""

COLUMNS = (
    "name",
    "assessment_type",
    "source_type",
    "source_id",
    "run_id",
    "span_id",
    "rationale",
    OVERRIDES,
    "created_timestamp",
)
"""Columns of an assessment that are kept as text; its value, error and metadata are JSON."""

_CAPITAL = re.compile(r"(?=[A-Z])")


def canonical(value: Any) -> str:
    """Return a JSON value as text, the same whoever had it.

    Numbers of feedback pass through a protobuf that has doubles only, so 5 comes back as 5.0.
    """
    return json.dumps(_whole(value), sort_keys=True)


def _whole(value: Any) -> Any:
    match value:
        case float() if value.is_integer():
            return int(value)
        case list():
            return [_whole(one) for one in value]
        case dict():
            return {key: _whole(one) for key, one in value.items()}
    return value


def assessment_id(trace_id: str, own_id: str) -> str:
    """Return the id by which an assessment is compared."""
    return f"{trace_id}/{own_id}"


def assessment_fields(kept: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what an assessment has, by the names of the columns of PostgreSQL's table.

    `value`, `error` and `assessment_metadata` are Python's values, not JSON; what is empty is none.
    """
    yield "value", canonical(kept["value"])
    if error := _known(kept.get("error") or {}):
        yield "error", canonical(error)
    for key in COLUMNS:
        if kept.get(key):
            yield key, str(kept[key])
    for key, value in (kept.get("assessment_metadata") or {}).items():
        yield f"metadata.{key}", str(value)


def _known(error: Mapping[str, Any]) -> Body:
    return {key: value for key, value in error.items() if value is not None}


def of_create(trace_id: str, sent: Body) -> Iterator[Write]:
    """Yield what a new assessment asks for, as `POST traces/{id}/assessments` has it."""
    yield Write(Kind.ASSESSMENT, trace_id, sent.get("metadata", {}).get(wire.TOKEN_TAG, ""), None)
    source = sent.get("source", {})
    kept = {
        "name": sent.get("assessment_name"),
        "assessment_type": _type(sent),
        "value": _value(sent),
        "error": sent.get("feedback", {}).get("error"),
        "source_type": source.get("source_type"),
        "source_id": source.get("source_id"),
        "created_timestamp": _milliseconds(sent.get("create_time")),
        "assessment_metadata": sent.get("metadata"),
    }
    kept |= {key: sent.get(key) for key in ("run_id", "span_id", "rationale", OVERRIDES)}
    for key, value in assessment_fields(kept):
        yield Write(Kind.FIELD, None, key, value)
    yield Write(Kind.FIELD, None, VALID, "true")
    if overridden := sent.get(OVERRIDES):
        yield Write(Kind.FIELD, assessment_id(trace_id, overridden), VALID, "false")


def _type(sent: Body) -> str:
    return next((one for one in ("feedback", "expectation", "issue") if one in sent), "")


def _value(sent: Body) -> Any:
    if "expectation" in sent:
        expectation = sent["expectation"]
        if packed := expectation.get("serialized_value"):
            return json.loads(packed["value"])
        return expectation.get("value")
    return sent["issue"] if "issue" in sent else sent.get("feedback", {}).get("value")


def _milliseconds(at: str | None) -> int | None:
    return round(datetime.fromisoformat(at).timestamp() * 1000) if at else None


def of_update(trace_id: str, own_id: str, body: Body) -> Iterator[Write]:
    """Yield what a change of an assessment asks for: of metadata, only what is named is changed."""
    owner, sent = assessment_id(trace_id, own_id), body.get("assessment", {})
    for path in body.get("update_mask", "").split(","):
        match _CAPITAL.sub("_", path).lower():
            case "assessment_name":
                yield Write(Kind.FIELD, owner, "name", sent.get("assessment_name") or None)
            case "feedback" | "expectation":
                error = _known(sent.get("feedback", {}).get("error") or {})
                yield Write(Kind.FIELD, owner, "value", canonical(_value(sent)))
                yield Write(Kind.FIELD, owner, "error", canonical(error) if error else None)
            case "rationale":
                yield Write(Kind.FIELD, owner, "rationale", sent.get("rationale") or None)
            case "metadata":
                for key, value in sent.get("metadata", {}).items():
                    yield Write(Kind.FIELD, owner, f"metadata.{key}", value)


def inputs_digest(inputs: Any) -> str:
    """Return the key of a record: what the server tells records of one dataset apart by."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def of_dataset(body: Body) -> Iterator[Write]:
    """Yield what a new evaluation dataset asks for."""
    tags = json.loads(body.get("tags") or "{}")
    experiment = next(iter(body.get("experiment_ids", [])), NOWHERE)
    yield Write(Kind.EVALUATION_DATASET, str(experiment), tags.get(wire.TOKEN_TAG, ""), None)
    yield Write(Kind.FIELD, None, "name", body["name"])
    yield from _tags(None, tags)


def of_dataset_tags(dataset: str, body: Body) -> Iterator[Write]:
    """Yield what `PATCH datasets/{id}/tags` asks for."""
    yield from _tags(dataset, json.loads(body.get("tags") or "{}"))


def _tags(owner: str | None, tags: Body) -> Iterator[Write]:
    for key, value in tags.items():
        if value is not None:
            yield Write(Kind.TAG, owner, key, str(value))


def of_records(dataset: str, body: Body) -> Iterator[Write]:
    """Yield what records ask for: one with inputs that are there is merged into that."""
    for record in json.loads(body.get("records") or "[]"):
        digest = inputs_digest(record.get("inputs", {}))
        owner = f"{dataset}/{digest}"
        yield Write(Kind.RECORD, dataset, digest, digest)
        for key, value in record_fields(record):
            yield Write(Kind.FIELD, owner, key, value)
        if "outputs" in record and _nothing(record["outputs"]):
            yield Write(Kind.FIELD, owner, "outputs", None)


def record_fields(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a record has beside its inputs, by its names in the REST API."""
    if not _nothing(outputs := record.get("outputs")):
        yield "outputs", canonical(outputs)
    for name in ("expectations", "tags"):
        for key, value in (record.get(name) or {}).items():
            yield f"{name}.{key}", canonical(value)
    if source := record.get("source"):
        data = source.get("source_data") or {}
        yield SOURCE, canonical({"source_data": data, "source_type": source.get("source_type")})


def _nothing(outputs: Any) -> bool:
    """Whether a record has no outputs: the server keeps {} for none."""
    return outputs is None or outputs == {}


def of_prompt_links(body: Body) -> Iterator[Write]:
    """Yield what `POST traces/link-prompts` asks for."""
    for prompt in body.get("prompt_versions", []):
        owner = f"{PROMPTS}{prompt['name']}/{prompt['version']}"
        yield Write(Kind.LINK, owner, body["trace_id"], LINKED)
