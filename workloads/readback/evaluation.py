"""What those who judge agents wrote: assessments, evaluation datasets, prompts' links to traces.

Through a tracking server assessments come with the trace that they are of; from PostgreSQL there is
a query for each kind. Tables are those of mlflow/store/tracking/dbmodels/models.py, 3.17.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from mlflow.entities import Assessment, DatasetRecord, EvaluationDataset, TraceInfo
from mlflow.tracking import MlflowClient

from workloads.history import evaluation_effects as effects
from workloads.history.history import Kind
from workloads.history.wire import TOKEN_TAG
from workloads.readback.attempted import Attempted
from workloads.readback.lines import DATASET_KINDS, Lines

PAGE = 50
TRACES_OF_A_PAGE = 500

Row = tuple[Any, ...]
Items = dict[str, list[str]]

Pairs = Callable[[Row], Iterator[tuple[str, str]]]
"""Makes keys and values of a row without its owner."""


def add_assessments(
    lines: Lines, trace_id: str, assessments: Iterable[Assessment], attempted: set[str]
) -> None:
    """Say which assessments a trace has, and that the others of those attempted are not there."""
    found: Items = defaultdict(list)
    absent = set(attempted)
    for one in assessments:
        kept = _columns(one)
        identity = effects.assessment_id(trace_id, str(one.assessment_id))
        found[(one.metadata or {}).get(TOKEN_TAG, "")].append(identity)
        absent.discard(identity)
        fields = {key: [value] for key, value in effects.assessment_fields(kept)}
        lines.add(Kind.FIELD, identity, fields | {effects.VALID: [_truth(kept["valid"])]})
    lines.add(Kind.ASSESSMENT, trace_id, found)
    for identity in sorted(absent):
        lines.add(Kind.FIELD, identity)


def read_assessments(
    client: MlflowClient, experiment_id: str, attempted: Attempted, lines: Lines
) -> None:
    """Read the assessments of an experiment's traces, as they come with its search."""
    left = dict(attempted.assessments)
    try:
        for info in _traces(client, experiment_id):
            known = left.pop(info.trace_id, set())
            if known or info.assessments:
                add_assessments(lines, info.trace_id, info.assessments, known)
    except Exception as error:
        for trace_id, identities in left.items():
            lines.add(Kind.ASSESSMENT, trace_id, error=error)
            for identity in sorted(identities):
                lines.add(Kind.FIELD, identity, error=error)
    else:
        for trace_id, identities in left.items():
            add_assessments(lines, trace_id, [], identities)


def assessments(client: MlflowClient, experiment_id: str) -> Iterator[tuple[str, str]]:
    """Yield token and id of every assessment of an experiment that overrides no other."""
    for info in _traces(client, experiment_id):
        for one in info.assessments:
            if not one.overrides:
                token = (one.metadata or {}).get(TOKEN_TAG, "")
                yield token, effects.assessment_id(info.trace_id, str(one.assessment_id))


def _columns(one: Assessment) -> dict[str, Any]:
    """Return an assessment by the names of the columns of its table."""
    kind = next(name for name in ("feedback", "expectation", "issue") if getattr(one, name))
    value, source = getattr(one, kind), one.source
    error = getattr(value, "error", None)
    return {
        "name": one.name,
        "assessment_type": kind,
        "value": value.to_dictionary() if kind == "issue" else value.value,
        "error": error.to_dictionary() if error else None,
        "source_type": source.source_type if source else None,
        "source_id": source.source_id if source else None,
        "run_id": one.run_id,
        "span_id": one.span_id,
        "rationale": one.rationale,
        "overrides": one.overrides,
        "created_timestamp": one.create_time_ms,
        "assessment_metadata": one.metadata,
        "valid": one.valid,
    }


def _truth(value: bool | None) -> str:
    return "false" if value is False else "true"


def datasets(client: MlflowClient, experiment_id: str) -> Iterator[EvaluationDataset]:
    """Yield the evaluation datasets of an experiment."""
    token = None
    while token is None or token:
        page = client.search_datasets([experiment_id], max_results=PAGE, page_token=token)
        yield from page
        token = page.token or ""


def read_datasets(
    client: MlflowClient, experiment_id: str, attempted: Attempted, lines: Lines
) -> None:
    """Read an experiment's evaluation datasets with their records, and those that are attempted."""
    found: Items = defaultdict(list)
    known: dict[str, EvaluationDataset] = {}
    try:
        for one in datasets(client, experiment_id):
            found[one.tags.get(TOKEN_TAG, "")].append(one.dataset_id)
            known[one.dataset_id] = one
    except Exception as error:
        lines.add(Kind.EVALUATION_DATASET, experiment_id, error=error)
    else:
        lines.add(Kind.EVALUATION_DATASET, experiment_id, found)
    for identity in sorted(attempted.datasets - set(known)):
        for kind in DATASET_KINDS:
            lines.add(kind, identity)
        _add_records(lines, identity, [], attempted.records[identity])
    for identity, one in known.items():
        lines.add(Kind.FIELD, identity, {"name": [one.name]})
        lines.add(Kind.TAG, identity, {key: [value] for key, value in one.tags.items()})
        try:
            store = client._tracking_client.store  # records of a data set come from elsewhere
            records = [_record(record) for record in store._load_dataset_records(identity)[0]]
        except Exception as error:
            lines.add(Kind.RECORD, identity, error=error)
            for digest in sorted(attempted.records[identity]):
                lines.add(Kind.FIELD, f"{identity}/{digest}", error=error)
        else:
            _add_records(lines, identity, records, attempted.records[identity])


def _record(record: DatasetRecord) -> dict[str, Any]:
    source = record.source.to_dict() if record.source else None
    return {
        "inputs": record.inputs,
        "outputs": record.outputs,
        "expectations": record.expectations,
        "tags": record.tags,
        "source": source,
    }


def _add_records(
    lines: Lines, dataset: str, records: Iterable[dict[str, Any]], attempted: set[str]
) -> None:
    found: Items = defaultdict(list)
    for record in records:
        digest = effects.inputs_digest(record["inputs"])
        found[digest].append(digest)
        fields = {key: [value] for key, value in effects.record_fields(record)}
        lines.add(Kind.FIELD, f"{dataset}/{digest}", fields)
    lines.add(Kind.RECORD, dataset, found)
    for digest in sorted(attempted - set(found)):
        lines.add(Kind.FIELD, f"{dataset}/{digest}")


def read_prompt_links(
    client: MlflowClient, experiment_id: str, attempted: Attempted, lines: Lines
) -> None:
    """Read which traces each prompt version that was linked belongs to."""
    for owner in sorted(attempted.linked_prompts):
        by = f"prompt = '{owner.removeprefix(effects.PROMPTS)}'"
        try:
            found = {info.trace_id: [effects.LINKED] for info in _traces(client, experiment_id, by)}
        except Exception as error:
            lines.add(Kind.LINK, owner, error=error)
        else:
            lines.add(Kind.LINK, owner, found)


def _traces(client: MlflowClient, experiment_id: str, by: str | None = None) -> Iterator[TraceInfo]:
    token = None
    while token is None or token:
        page = client.search_traces(
            locations=[experiment_id],
            filter_string=by,
            max_results=TRACES_OF_A_PAGE,
            page_token=token,
            include_spans=False,
        )
        yield from (trace.info for trace in page)
        token = page.token or ""


SCOPE = """
our_assessments as (
    select trace_id || '/' || assessment_id as id, assessments.*
    from assessments join trace_info on request_id = trace_id
    where trace_info.experiment_id = %(experiment)s
), our_datasets as (
    select dataset_id, name
    from evaluation_datasets join entity_associations on source_id = dataset_id
    where source_type = 'evaluation_dataset' and destination_type = 'experiment'
        and destination_id = %(experiment)s::text
)
"""
"""What the queries are about, as further parts of a `with` clause."""


def _assessment(row: Row) -> Iterator[tuple[str, str]]:
    names = (*effects.COLUMNS, "value", "error", "assessment_metadata", effects.VALID)
    kept = dict(zip(names, row, strict=True))
    for key in ("value", "error", "assessment_metadata"):
        kept[key] = json.loads(kept[key]) if kept[key] is not None else None
    yield from effects.assessment_fields(kept)
    yield effects.VALID, _truth(kept[effects.VALID])


def _fields_of_record(row: Row) -> Iterator[tuple[str, str]]:
    outputs, expectations, tags, source = row
    yield from effects.record_fields(
        {
            "outputs": (outputs or {}).get("mlflow_wrapped"),
            "expectations": expectations,
            "tags": tags,
            "source": source,
        }
    )


def _digest_of_record(row: Row) -> Iterator[tuple[str, str]]:
    input_hash, inputs = row
    yield input_hash, effects.inputs_digest(inputs)


def _pair(row: Row) -> Iterator[tuple[str, str]]:
    key, value = row
    yield key, value or ""


QUERIES: tuple[tuple[Kind, str, Pairs], ...] = (
    (
        Kind.ASSESSMENT,
        """
        select trace_id, coalesce(assessment_metadata::json->>%(token)s, ''), id
        from our_assessments order by 1
        """,
        _pair,
    ),
    (
        Kind.FIELD,
        """
        select id, name, assessment_type, source_type, source_id, run_id, span_id, rationale,
            overrides, created_timestamp, value, error, assessment_metadata, valid
        from our_assessments order by 1
        """,
        _assessment,
    ),
    (
        Kind.EVALUATION_DATASET,
        """
        select %(experiment)s::text, coalesce(value, ''), dataset_id
        from our_datasets left join (
            select dataset_id, value from evaluation_dataset_tags where key = %(token)s
        ) tokens using (dataset_id)
        """,
        _pair,
    ),
    (Kind.FIELD, "select dataset_id, 'name', name from our_datasets order by 1", _pair),
    (
        Kind.TAG,
        """
        select dataset_id, key, value
        from evaluation_dataset_tags join our_datasets using (dataset_id) order by 1
        """,
        _pair,
    ),
    (
        Kind.RECORD,
        """
        select dataset_id, input_hash, inputs
        from evaluation_dataset_records join our_datasets using (dataset_id) order by 1
        """,
        _digest_of_record,
    ),
    (
        Kind.FIELD,
        """
        select dataset_id || '/' || input_hash, outputs, expectations, tags, source
        from evaluation_dataset_records join our_datasets using (dataset_id) order by 1
        """,
        _fields_of_record,
    ),
    (
        Kind.LINK,
        """
        select 'prompts:/' || destination_id, source_id, 'linked' from entity_associations
        where source_type = 'trace' and destination_type = 'prompt_version'
            and starts_with(destination_id, %(prefix)s) order by 1
        """,
        _pair,
    ),
)
"""Kind, and the query for owner and what it has there, by owner."""


def places(
    experiment_id: str, attempted: Attempted, found: Mapping[Kind, set[str]]
) -> Iterator[tuple[tuple[Kind, ...], set[str]]]:
    """Yield kinds and the owners for which PostgreSQL was read for them."""
    assessments = set().union(*attempted.assessments.values()) | found[Kind.ASSESSMENT]
    of_records = {f"{d}/{digest}" for d, digests in attempted.records.items() for digest in digests}
    sets = attempted.datasets | set(attempted.records) | found[Kind.EVALUATION_DATASET]
    yield (Kind.EVALUATION_DATASET,), {experiment_id}
    yield (Kind.ASSESSMENT,), set(attempted.assessments)
    yield (*DATASET_KINDS, Kind.RECORD), sets
    yield (Kind.FIELD,), assessments | of_records
    yield (Kind.LINK,), attempted.linked_prompts
