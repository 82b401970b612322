"""What judges sent, what a server shows and what PostgreSQL has are compared in one form.

The ways of the client and of the server's store are mlflow's own.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import (
    Assessment,
    AssessmentError,
    AssessmentSource,
    AssessmentSourceType,
    DatasetRecord,
    DatasetRecordSource,
    Expectation,
    Feedback,
)
from mlflow.protos.service_pb2 import CreateAssessment
from mlflow.store.tracking.dbmodels.models import SqlAssessments, SqlEvaluationDatasetRecord
from mlflow.utils.proto_json_utils import message_to_json

from workloads.history import effects, wire
from workloads.history.evaluation_effects import COLUMNS, inputs_digest
from workloads.history.history import Appender, Kind, Write, lines
from workloads.readback import evaluation
from workloads.readback.lines import Lines

# MLflow's tables are made as they are first used, in SQLAlchemy's way of yesterday.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

TRACE = "tr-" + "0123456789abcdef" * 2
HUMAN = AssessmentSource(AssessmentSourceType.HUMAN, "bob")
TOKEN = {wire.TOKEN_TAG: "t1"}
DATASET = "d-" + "2" * 32

ASSESSED = [
    Feedback(name="score", value=5, source=HUMAN, rationale="so", metadata=TOKEN | {"a": ""}),
    Feedback(name="score", value={"part": 2.5, "whole": 1}, source=HUMAN, span_id="ab" * 8),
    Feedback(name="failed", error=AssessmentError("E1", "boom", "line 1"), metadata=TOKEN),
    Feedback(name="other", value=False, overrides="a-" + "1" * 32, metadata=TOKEN),
    Expectation(name="expected", value={"b": 1, "a": [1.0, None]}, metadata=TOKEN),
    Expectation(name="expected", value="yes", source=HUMAN),
]


def fields(writes: Iterable[Write]) -> dict[str, str | None]:
    own = [w for w in writes if w.kind is Kind.FIELD and w.owner is None]
    return {w.key: w.value for w in own}


def sent(one: Assessment) -> Any:
    return one.to_proto()  # type: ignore[no-untyped-call]


def passed_on(one: Assessment) -> Assessment:
    """What the other side of a connection makes of it."""
    made: Assessment = Assessment.from_proto(sent(one))  # type: ignore[no-untyped-call]
    return made


@pytest.mark.parametrize("one", ASSESSED, ids=lambda one: one.name)
def test_an_assessment_has_one_form(one: Assessment, tmp_path: Path) -> None:
    one.trace_id = TRACE
    one.create_time_ms = one.last_update_time_ms = 1795896201195
    body = json.loads(message_to_json(CreateAssessment(assessment=sent(one))))
    asked = effects.asked("POST", f"traces/{TRACE}/assessments", body, None)
    kept = SqlAssessments.from_mlflow_entity(passed_on(one))
    names = (*COLUMNS, "value", "error", "assessment_metadata", "valid")
    row = tuple(getattr(kept, name) for name in names)
    assert dict(evaluation._assessment(row)) == fields(asked.writes)

    out = Appender(tmp_path / "readback.jsonl")
    shown = passed_on(kept.to_mlflow_entity())
    evaluation.add_assessments(Lines(out, "address"), TRACE, [shown], {f"{TRACE}/a-gone"})
    out.close()
    by_kind = {(line["kind"], line["owner"]): line for line in lines(tmp_path / "readback.jsonl")}
    own = f"{TRACE}/{kept.assessment_id}"
    token = (one.metadata or {}).get(wire.TOKEN_TAG, "")
    assert by_kind[Kind.ASSESSMENT, TRACE]["items"] == {token: [own]}
    found = by_kind[Kind.FIELD, own]["items"]
    assert found == {key: [value] for key, value in fields(asked.writes).items()}
    assert by_kind[Kind.FIELD, f"{TRACE}/a-gone"]["items"] == {}


RECORDS: list[dict[str, Any]] = [
    {"inputs": {"q": "why?", "n": 1.0}, "expectations": {"a": {"b": [1, None]}}},
    {"inputs": {"q": ["ü"]}, "outputs": "so", "tags": {"k": "v"}},
    {"inputs": {}, "outputs": None},
    {"inputs": {"q": 1}, "source": {"source_type": "TRACE", "source_data": {"trace_id": TRACE}}},
    {"inputs": {"q": 2}, "source": {"source_type": "HUMAN", "source_data": {}}},
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: json.dumps(record["inputs"]))
def test_a_record_has_one_form(record: dict[str, Any], tmp_path: Path) -> None:
    body = {"records": json.dumps([record])}
    asked = effects.asked("POST", f"datasets/{DATASET}/records", body, None)
    own = f"{DATASET}/{inputs_digest(record['inputs'])}"
    wanted = {w.key: w.value for w in asked.writes if w.owner == own and w.value is not None}

    source = DatasetRecordSource.from_dict(record["source"]) if "source" in record else None
    made = DatasetRecord(
        dataset_id=DATASET,
        inputs=record["inputs"],
        dataset_record_id="dr-1",
        created_time=1,
        last_update_time=1,
        outputs=record.get("outputs", {}),
        expectations=record.get("expectations"),
        tags=record.get("tags"),
        source=source,
    )
    kept = SqlEvaluationDatasetRecord.from_mlflow_entity(made, inputs_digest(record["inputs"]))
    row = (kept.outputs, kept.expectations, kept.tags, kept.source)
    assert dict(evaluation._fields_of_record(row)) == wanted
    digest = inputs_digest(record["inputs"])
    assert list(evaluation._digest_of_record((kept.input_hash, kept.inputs))) == [(digest, digest)]

    out = Appender(tmp_path / "readback.jsonl")
    shown = DatasetRecord.from_dict(json.loads(json.dumps(kept.to_mlflow_entity().to_dict())))
    evaluation._add_records(Lines(out, "address"), DATASET, [evaluation._record(shown)], set())
    out.close()
    by_kind = {
        (line["kind"], line["owner"]): line["items"] for line in lines(tmp_path / "readback.jsonl")
    }
    assert by_kind[Kind.RECORD, DATASET] == {digest: [digest]}
    assert by_kind[Kind.FIELD, own] == {key: [value] for key, value in wanted.items()}
