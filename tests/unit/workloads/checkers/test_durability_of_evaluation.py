"""Hand-written histories of judges: what a server forgets of assessments and records is found."""

from tests.unit.workloads.builders import ReadBack, S, operation, write
from tests.unit.workloads.checkers.test_durability import judged, read
from workloads.history.history import Kind, Operation
from workloads.verdict.result import Durability, DurabilityVerdict

TRACE = "tr-1"
FIRST, SECOND, TWIN = f"{TRACE}/a-1", f"{TRACE}/a-2", f"{TRACE}/a-3"
DATASET, RECORD = "d-1", "d-1/ab12"


def assess(token: str, made: str | None, *, at: int = 0, overrides: str = "") -> Operation:
    """A new assessment; `made` None: its answer was lost."""
    writes = [
        write(Kind.ASSESSMENT, TRACE, token, None),
        write(Kind.FIELD, None, "value", "1"),
        write(Kind.FIELD, None, "valid", "true"),
    ]
    if overrides:
        writes.append(write(Kind.FIELD, None, "overrides", overrides))
        writes.append(write(Kind.FIELD, f"{TRACE}/{overrides}", "valid", "false"))
    times = {"invoked_ns": at * S, "completed_ns": at * S + 1}
    outcome = "ok" if made else "info"
    return operation(*writes, outcome=outcome, created=made, name="POST assessments", **times)


def delete(owner: str, at: int, outcome: str = "ok") -> Operation:
    times = {"invoked_ns": at * S, "completed_ns": at * S + 1}
    return operation(write(Kind.DELETION, owner, "", None), outcome=outcome, **times)


def kept(valid: str, overrides: str = "") -> dict[str, list[str]]:
    fields = {"value": ["1"], "valid": [valid]}
    return fields | ({"overrides": [overrides]} if overrides else {})


def found(assessments: dict[str, list[str]], **fields: dict[str, list[str]]) -> ReadBack:
    """What is read: ids of assessments by token, and the fields of `a_1`, `a_2` …"""
    known = [(Kind.FIELD, f"{TRACE}/{key.replace('_', '-')}", own) for key, own in fields.items()]
    return read((Kind.ASSESSMENT, TRACE, assessments), *known)


def of(operations: list[Operation], held: ReadBack) -> Durability:
    return judged(operations, {"address": held})


OVERRIDDEN = [assess("t1", FIRST), assess("t2", SECOND, at=1, overrides="a-1")]
BOTH = {"t1": [FIRST], "t2": [SECOND]}


def test_an_override_is_kept() -> None:
    held = found(BOTH, a_1=kept("false"), a_2=kept("true", "a-1"))
    result = of(OVERRIDDEN, held)
    assert result.verdict is DurabilityVerdict.PASS, result.findings
    assert result.kinds[Kind.ASSESSMENT.value].acknowledged == 2


def test_a_forgotten_override_is_lost() -> None:
    held = found(BOTH, a_1=kept("true"), a_2=kept("true", "a-1"))
    result = of(OVERRIDDEN, held)
    assert result.verdict is DurabilityVerdict.FAIL
    [finding] = result.findings
    assert finding.startswith(f"lost: field valid = false of assessment {FIRST}, acknowledged")
    assert finding.endswith("instead: true")


def test_what_was_overridden_is_valid_again_when_that_is_deleted() -> None:
    operations = [*OVERRIDDEN, delete(SECOND, at=2)]
    held = found({"t1": [FIRST]}, a_1=kept("true"), a_2={})
    assert of(operations, held).verdict is DurabilityVerdict.PASS
    held = found({"t1": [FIRST]}, a_1=kept("false"), a_2={})
    assert of(operations, held).kinds[Kind.FIELD.value].lost == 1


def test_nobody_knows_after_a_deletion_without_an_answer() -> None:
    operations = [*OVERRIDDEN, delete(SECOND, at=2, outcome="info")]
    there = found(BOTH, a_1=kept("false"), a_2=kept("true", "a-1"))
    gone = found({"t1": [FIRST]}, a_1=kept("true"), a_2={})
    for held in (there, gone):
        assert of(operations, held).verdict is DurabilityVerdict.PASS


def test_both_may_be_deleted_the_overridden_one_first() -> None:
    operations = [*OVERRIDDEN, delete(FIRST, at=2), delete(SECOND, at=3)]
    held = found({}, a_1={}, a_2={})
    assert of(operations, held).verdict is DurabilityVerdict.PASS


def test_a_deleted_assessment_that_is_there_is_found() -> None:
    held = found({"t1": [FIRST]}, a_1=kept("true"))
    result = of([assess("t1", FIRST), delete(FIRST, at=1)], held)
    assert result.kinds[Kind.DELETION.value].lost == 1
    assert result.verdict is DurabilityVerdict.FAIL


def test_an_assessment_goes_with_its_trace() -> None:
    held = found({}, a_1={})
    operations = [assess("t1", FIRST), delete(TRACE, at=1)]
    assert of(operations, held).verdict is DurabilityVerdict.PASS


def test_an_assessment_that_was_made_twice_is_a_duplicate() -> None:
    held = found({"t1": [FIRST, TWIN]}, a_1=kept("true"), a_3=kept("true"))
    result = of([assess("t1", FIRST)], held)
    assert result.kinds[Kind.ASSESSMENT.value].duplicates == 1
    assert result.findings == [f"duplicate: assessment t1 was made 2 times: {FIRST}, {TWIN}"]


def test_a_lost_assessment() -> None:
    result = of([assess("t1", FIRST)], found({}, a_1={}))
    assert result.kinds[Kind.ASSESSMENT.value].lost == 1
    assert result.findings[0].startswith(f"lost: assessment {FIRST} (t1), acknowledged")


def test_one_without_an_answer_may_be_there_or_not() -> None:
    lost_answer = [assess("t0", TWIN), assess("t1", None)]
    twin = {"t0": [TWIN]}
    held = found(twin | {"t1": [FIRST]}, a_1=kept("true"), a_3=kept("true"))
    result = of(lost_answer, held)
    assert result.verdict is DurabilityVerdict.PASS, result.findings
    assert result.kinds[Kind.ASSESSMENT.value].recovered == 1
    assert of(lost_answer, found(twin, a_3=kept("true"))).verdict is DurabilityVerdict.PASS


def merge(at: int = 0, source: str = "HUMAN", answer: str = "so") -> Operation:
    return operation(
        write(Kind.RECORD, DATASET, "ab12", "ab12"),
        write(Kind.FIELD, RECORD, "expectations.answer", answer),
        write(Kind.FIELD, RECORD, "record source", source),
        invoked_ns=at * S,
        completed_ns=at * S + 1,
    )


def records(digests: dict[str, list[str]], source: str = "HUMAN", answer: str = "so") -> ReadBack:
    fields = {"expectations.answer": [answer], "record source": [source]}
    own = (Kind.FIELD, RECORD, fields if digests else {})
    return read((Kind.RECORD, DATASET, digests), own)


def test_records() -> None:
    assert of([merge()], records({"ab12": ["ab12"]})).verdict is DurabilityVerdict.PASS
    lost = of([merge()], records({}))
    assert lost.kinds[Kind.RECORD.value].lost == 1
    assert lost.findings[-1].startswith("lost: evaluation record ab12 = ab12 of data set d-1")
    changed = of([merge()], records({"ab12": ["cd34"]}))
    assert changed.kinds[Kind.RECORD.value].lost == 1
    twice = of([merge()], records({"ab12": ["ab12", "ab12"]}))
    assert twice.kinds[Kind.RECORD.value].duplicates == 1


def test_a_record_that_is_merged_has_the_last_values_and_the_first_source() -> None:
    operations = [merge(source="TRACE"), merge(at=1, answer="thus")]
    held = records({"ab12": ["ab12"]}, source="TRACE", answer="thus")
    assert of(operations, held).verdict is DurabilityVerdict.PASS
    held = records({"ab12": ["ab12"]}, source="TRACE", answer="so")
    assert of(operations, held).kinds[Kind.FIELD.value].lost == 1
    held = records({"ab12": ["ab12"]}, source="CODE", answer="thus")
    assert of(operations, held).kinds[Kind.FIELD.value].unexpected == 1


def test_records_go_with_their_dataset() -> None:
    made = operation(
        write(Kind.EVALUATION_DATASET, "1", "t1", None),
        write(Kind.FIELD, None, "name", "questions"),
        created=DATASET,
    )
    operations = [made, merge(at=1), delete(DATASET, at=2)]
    nothing = read(
        (Kind.EVALUATION_DATASET, "1", {}),
        (Kind.FIELD, DATASET, {}),
        (Kind.RECORD, DATASET, {}),
        (Kind.FIELD, RECORD, {}),
    )
    result = of(operations, nothing)
    assert result.verdict is DurabilityVerdict.PASS, result.findings
    still = read(
        (Kind.EVALUATION_DATASET, "1", {"t1": [DATASET]}),
        (Kind.FIELD, DATASET, {"name": ["questions"]}),
        (Kind.RECORD, DATASET, {"ab12": ["ab12"]}),
        (Kind.FIELD, RECORD, {"expectations.answer": ["so"], "record source": ["HUMAN"]}),
    )
    assert of(operations, still).verdict is DurabilityVerdict.FAIL
