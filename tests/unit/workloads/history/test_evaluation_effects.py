"""What judges want kept; bodies as mlflow 3.17's client sends them."""

import json
from typing import Any

import pytest

from workloads.history import effects, wire
from workloads.history.evaluation_effects import canonical, inputs_digest
from workloads.history.history import Kind, Write

TRACE = "tr-" + "0123456789abcdef" * 2
FIRST, SECOND = "a-" + "0" * 32, "a-" + "1" * 32
ASSESSMENTS = f"traces/{TRACE}/assessments"
DATASET = "d-" + "2" * 32
RECORDS = f"datasets/{DATASET}/records"
ASKED = {"question": "why?", "top": 3}
RECORD = f"{DATASET}/{inputs_digest(ASKED)}"
SENT = {
    "assessment_name": "relevance",
    "trace_id": TRACE,
    "source": {"source_type": "LLM_JUDGE", "source_id": "judge-1"},
    "create_time": "2026-11-28T20:03:21.195Z",
    "last_update_time": "2026-11-28T20:03:21.195Z",
    "feedback": {"value": 5.0},
    "rationale": "it says so",
    "metadata": {wire.TOKEN_TAG: "t1"},
    "valid": True,
}


def field(owner: str | None, key: str, value: str | None) -> Write:
    return Write(Kind.FIELD, owner, key, value)


def asked(method: str, path: str, body: dict[str, Any]) -> list[Write]:
    got = effects.asked(method, path, body, None)
    assert got.not_audited == []
    return got.writes


def test_feedback() -> None:
    assert asked("POST", ASSESSMENTS, {"assessment": SENT}) == [
        Write(Kind.ASSESSMENT, TRACE, "t1", None),
        field(None, "value", "5"),
        field(None, "name", "relevance"),
        field(None, "assessment_type", "feedback"),
        field(None, "source_type", "LLM_JUDGE"),
        field(None, "source_id", "judge-1"),
        field(None, "rationale", "it says so"),
        field(None, "created_timestamp", "1795896201195"),
        field(None, f"metadata.{wire.TOKEN_TAG}", "t1"),
        field(None, "valid", "true"),
    ]


def test_an_override_makes_another_one_invalid() -> None:
    writes = asked("POST", ASSESSMENTS, {"assessment": SENT | {"overrides": FIRST}})
    assert field(None, "overrides", FIRST) in writes
    assert writes[-2:] == [
        field(None, "valid", "true"),
        field(f"{TRACE}/{FIRST}", "valid", "false"),
    ]


@pytest.mark.parametrize(
    ("expectation", "value"),
    [
        ({"value": "yes"}, '"yes"'),
        (
            {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": '{"b": 1.0}'}},
            '{"b": 1}',
        ),
    ],
)
def test_expectations(expectation: dict[str, Any], value: str) -> None:
    sent = {key: SENT[key] for key in SENT if key != "feedback"} | {"expectation": expectation}
    writes = asked("POST", ASSESSMENTS, {"assessment": sent})
    assert field(None, "value", value) in writes
    assert field(None, "assessment_type", "expectation") in writes


def test_feedback_of_a_judge_that_failed() -> None:
    error = {"error_code": "ValueError", "error_message": "boom"}
    writes = asked("POST", ASSESSMENTS, {"assessment": SENT | {"feedback": {"error": error}}})
    assert field(None, "value", "null") in writes
    assert field(None, "error", json.dumps(error)) in writes


def test_a_change_is_of_what_the_mask_names() -> None:
    sent = {
        "assessment_id": FIRST,
        "trace_id": TRACE,
        "assessment_name": "correct",
        "feedback": {"value": False},
        "rationale": "not quite",
        "metadata": {"seen": "twice"},
    }
    body = {"assessment": sent, "update_mask": "assessmentName,feedback,metadata"}
    owner = f"{TRACE}/{FIRST}"
    assert asked("PATCH", f"{ASSESSMENTS}/{FIRST}", body) == [
        field(owner, "name", "correct"),
        field(owner, "value", "false"),
        field(owner, "error", None),
        field(owner, "metadata.seen", "twice"),
    ]


def test_assessments_are_deleted() -> None:
    body = {"trace_id": TRACE, "assessment_id": FIRST}
    gone = asked("DELETE", f"{ASSESSMENTS}/{FIRST}", body)
    assert gone == [Write(Kind.DELETION, f"{TRACE}/{FIRST}", "", None)]


def test_evaluation_datasets() -> None:
    tags = json.dumps({wire.TOKEN_TAG: "t1", "team": "a"})
    body = {"name": "questions", "experiment_ids": ["1"], "tags": tags}
    assert asked("POST", "datasets/create", body) == [
        Write(Kind.EVALUATION_DATASET, "1", "t1", None),
        field(None, "name", "questions"),
        Write(Kind.TAG, None, wire.TOKEN_TAG, "t1"),
        Write(Kind.TAG, None, "team", "a"),
    ]
    body = {"tags": '{"state": "reviewed", "for": null}'}
    set_ = asked("PATCH", f"datasets/{DATASET}/tags", body)
    assert set_ == [Write(Kind.TAG, DATASET, "state", "reviewed")]
    gone = asked("DELETE", f"datasets/{DATASET}/tags/state", {})
    assert gone == [Write(Kind.TAG, DATASET, "state", None)]
    gone = asked("DELETE", f"datasets/{DATASET}", {})
    assert gone == [Write(Kind.DELETION, DATASET, "", None)]


def test_records_are_known_by_their_inputs() -> None:
    source = {"source_type": "TRACE", "source_data": {"trace_id": TRACE}}
    record = {
        "inputs": ASKED,
        "outputs": {"answer": "so"},
        "expectations": {"answer": "thus", "sources": ["a"]},
        "tags": {"version": "1"},
        "source": source,
    }
    digest = inputs_digest({"top": 3, "question": "why?"})
    assert asked("POST", RECORDS, {"records": json.dumps([record])}) == [
        Write(Kind.RECORD, DATASET, digest, digest),
        field(RECORD, "outputs", '{"answer": "so"}'),
        field(RECORD, "expectations.answer", '"thus"'),
        field(RECORD, "expectations.sources", '["a"]'),
        field(RECORD, "tags.version", '"1"'),
        field(RECORD, "record source", canonical(source)),
    ]


def test_a_record_that_is_merged_keeps_what_is_not_named() -> None:
    changed = [{"inputs": ASKED, "outputs": None, "expectations": {"answer": "other"}}]
    writes = asked("POST", RECORDS, {"records": json.dumps(changed)})
    assert writes[1:] == [
        field(RECORD, "expectations.answer", '"other"'),
        field(RECORD, "outputs", None),
    ]


def test_links_of_prompts_belong_to_no_version_that_may_be_deleted() -> None:
    body = {"trace_id": TRACE, "prompt_versions": [{"name": "p", "version": "3"}]}
    links = asked("POST", "traces/link-prompts", body)
    assert links == [Write(Kind.LINK, "prompts:/p/3", TRACE, "linked")]


def test_what_the_server_made() -> None:
    answer = json.dumps({"assessment": {"assessment_id": SECOND}}).encode()
    assert wire.created(ASSESSMENTS, answer) == f"{TRACE}/{SECOND}"
    answer = json.dumps({"dataset": {"dataset_id": DATASET}}).encode()
    assert wire.created("datasets/create", answer) == DATASET


def test_a_number_is_one_number_with_a_point_and_without() -> None:
    assert canonical({"b": [1.0, 2.5], "a": 3}) == canonical({"a": 3.0, "b": [1, 2.5]})
    assert canonical(10**15) == canonical(float(10**15))
    assert canonical(True) != canonical(1)
