"""Hand-written histories, good and bad: each fault of each kind is found and named."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.workloads.builders import MS, Folder, operation, write
from workloads.checkers import durability
from workloads.checkers.durability import ReadBack
from workloads.errors import CannotRunError
from workloads.history import Kind, Operation
from workloads.result import Durability, DurabilityVerdict, KindSets

CREATE = [write(Kind.RUN, "1", "t1", None), write(Kind.TAG, None, "team", "a")]
THINGS = {
    Kind.STATUS: ("r1", "status", "FINISHED"),
    Kind.PARAM: ("r1", "depth", "6"),
    Kind.METRIC: ("r1", "loss", "[3, 1700000000000, 0.5]"),
    Kind.TAG: ("r1", "stage", "done"),
    Kind.DATASET: ("r1", "diabetes", "ab12"),
    Kind.OUTPUT: ("r1", "m-1", "0"),
    Kind.ARTIFACT: ("r1", "model/model.pkl", "e3b0"),
    Kind.REGISTERED: ("registry", "churn", "churn"),
    Kind.ALIAS: ("churn", "champion", "3"),
}


def read(*places: tuple[Kind, str, dict[str, list[str]]]) -> ReadBack:
    return ReadBack(items={(kind, owner): items for kind, owner, items in places})


def check(operations: list[Operation], found: ReadBack, kind: Kind) -> tuple[Durability, KindSets]:
    result = durability.check(operations, found)
    return result, result.kinds[kind.value]


@pytest.mark.parametrize("kind", THINGS)
class TestEachKind:
    def test_kept(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        acknowledged = operation(write(kind, owner, key, value))
        result, sets = check([acknowledged], read((kind, owner, {key: [value]})), kind)
        assert result.verdict is DurabilityVerdict.PASS
        assert sets == KindSets(attempted=1, acknowledged=1, present=1)
        assert result.findings == []

    @pytest.mark.parametrize("items", [{}, {"other": ["x"]}])
    def test_lost(self, kind: Kind, items: dict[str, list[str]]) -> None:
        owner, key, value = THINGS[kind]
        acknowledged = operation(write(kind, owner, key, value), id="3.14", user=3)
        result, sets = check([acknowledged], read((kind, owner, items)), kind)
        assert result.verdict is DurabilityVerdict.FAIL
        assert sets.lost == 1
        lost = [f for f in result.findings if f.startswith("lost: ")]
        assert len(lost) == 1
        for part in (kind.value, key, value, owner, "user 3", "3.14"):
            assert part in lost[0]

    def test_changed_is_lost_and_unexpected(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        acknowledged = operation(write(kind, owner, key, value))
        result, sets = check([acknowledged], read((kind, owner, {key: ["changed"]})), kind)
        assert result.verdict is DurabilityVerdict.FAIL
        assert (sets.lost, sets.unexpected) == (1, 1)

    def test_unread_is_unknown(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        acknowledged = operation(write(kind, owner, key, value))
        result, sets = check([acknowledged], ReadBack(), kind)
        assert result.verdict is DurabilityVerdict.UNKNOWN
        assert (sets.lost, sets.unread) == (0, 1)
        only_key = read((kind, owner, {}))
        only_key.unread.add((kind, owner, key))
        assert check([acknowledged], only_key, kind)[0].verdict is DurabilityVerdict.UNKNOWN

    @pytest.mark.parametrize("outcome", ["info", "fail"])
    def test_not_acknowledged_may_be_absent_or_recovered(self, kind: Kind, outcome: str) -> None:
        owner, key, value = THINGS[kind]
        tried = operation(write(kind, owner, key, value), outcome=outcome, completed_ns=None)
        anchor = operation(*CREATE, created="r0")
        there = (Kind.RUN, "1", {"t1": ["r0"]}), (Kind.TAG, "r0", {"team": ["a"]})
        result, sets = check([anchor, tried], read(*there, (kind, owner, {})), kind)
        assert result.verdict is DurabilityVerdict.PASS
        assert (sets.lost, sets.recovered) == (0, 0)
        result, sets = check([anchor, tried], read(*there, (kind, owner, {key: [value]})), kind)
        assert result.verdict is DurabilityVerdict.PASS
        assert sets.recovered == 1

    def test_never_attempted_is_unexpected(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        anchor = operation(*CREATE, created="r0")
        found = read(
            (Kind.RUN, "1", {"t1": ["r0"]}),
            (Kind.TAG, "r0", {"team": ["a"]}),
            (kind, owner, {key: [value]}),
        )
        result, sets = check([anchor], found, kind)
        assert result.verdict is DurabilityVerdict.FAIL
        assert sets.unexpected == 1
        assert "never attempted" in result.findings[0]

    def test_twice_is_a_duplicate(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        acknowledged = operation(write(kind, owner, key, value))
        result, sets = check([acknowledged], read((kind, owner, {key: [value, value]})), kind)
        assert result.verdict is DurabilityVerdict.FAIL
        assert sets.duplicates == 1
        assert result.findings[0].startswith(f"duplicate: {kind} {key}")


@pytest.mark.parametrize("kind", [Kind.RUN, Kind.MODEL, Kind.VERSION])
class TestCreated:
    """Runs, logged models and model versions: the server chooses the id."""

    def one(self, kind: Kind, **changes: Any) -> Operation:
        fields = {"created": "x1", "name": "POST create"} | changes
        return operation(write(kind, "1", "t1", None), write(Kind.TAG, None, "team", "a"), **fields)

    def test_kept_with_what_was_created_with_it(self, kind: Kind) -> None:
        found = read((kind, "1", {"t1": ["x1"]}), (Kind.TAG, "x1", {"team": ["a"]}))
        result, sets = check([self.one(kind)], found, kind)
        assert result.verdict is DurabilityVerdict.PASS
        assert sets == KindSets(attempted=1, acknowledged=1, present=1)
        assert result.kinds["tag"].acknowledged == 1

    def test_lost_with_what_was_created_with_it(self, kind: Kind) -> None:
        found = read((kind, "1", {}), (Kind.TAG, "x1", {}))
        result, sets = check([self.one(kind)], found, kind)
        assert result.verdict is DurabilityVerdict.FAIL
        assert sets.lost == result.kinds["tag"].lost == 1
        assert any(f.startswith(f"lost: {kind} x1 (t1)") for f in result.findings)

    def test_made_twice_is_a_duplicate(self, kind: Kind) -> None:
        found = read(
            (kind, "1", {"t1": ["x1", "x2"]}),
            (Kind.TAG, "x1", {"team": ["a"]}),
        )
        result, sets = check([self.one(kind)], found, kind)
        assert result.verdict is DurabilityVerdict.FAIL
        assert (sets.duplicates, sets.unexpected, sets.lost) == (1, 0, 0)
        assert result.findings == [f"duplicate: {kind} t1 was made 2 times: x1, x2"]

    def test_an_unanswered_create_is_recovered(self, kind: Kind) -> None:
        tried = self.one(kind, outcome="info", created=None)
        good = operation(write(kind, "1", "t0", None), created="x0")
        found = read((kind, "1", {"t0": ["x0"], "t1": ["x1"]}), (Kind.TAG, "x1", {"team": ["a"]}))
        result, sets = check([good, tried], found, kind)
        assert result.verdict is DurabilityVerdict.PASS
        assert sets.recovered == 1
        assert result.kinds["tag"].recovered == 1

    def test_another_is_unexpected(self, kind: Kind) -> None:
        found = read((kind, "1", {"t1": ["x1"], "": ["x9"]}), (Kind.TAG, "x1", {"team": ["a"]}))
        result, sets = check([self.one(kind)], found, kind)
        assert result.verdict is DurabilityVerdict.FAIL
        assert sets.unexpected == 1
        assert "x9" in result.findings[0]


def tag(value: str, begin: int, end: int | None, outcome: str = "ok") -> Operation:
    return operation(
        write(Kind.TAG, "r1", "stage", value),
        outcome=outcome,
        invoked_ns=begin * MS,
        completed_ns=None if end is None else end * MS,
    )


@pytest.mark.parametrize(
    ("writes", "found", "lost"),
    [
        ([tag("a", 0, 1), tag("b", 2, 3)], "b", 0),
        ([tag("a", 0, 1), tag("b", 2, 3)], "a", 1),
        ([tag("a", 0, 5), tag("b", 2, 3)], "a", 0),  # at the same time: either may be last
        ([tag("a", 0, 5), tag("b", 2, 3)], "b", 0),
        ([tag("a", 0, 1), tag("b", 2, None, "info")], "a", 0),
        ([tag("a", 0, 1), tag("b", 2, None, "info")], "b", 0),
        ([tag("b", 0, 1, "info"), tag("a", 2, 3)], "b", 0),  # it may have come late
        ([tag("a", 0, 1), tag("b", 2, 3, "fail")], "b", 1),  # refused, and yet there
    ],
)
def test_the_last_value_of_what_is_overwritten(
    writes: list[Operation], found: str, lost: int
) -> None:
    result, sets = check(writes, read((Kind.TAG, "r1", {"stage": [found]})), Kind.TAG)
    assert sets.lost == lost
    assert (sets.attempted, sets.acknowledged) == (1, 1)
    assert result.verdict is (DurabilityVerdict.FAIL if lost else DurabilityVerdict.PASS)


def test_the_same_point_logged_again_is_one_point() -> None:
    point = write(Kind.METRIC, "r1", "loss", "[0, 1, 0.5]")
    found = read((Kind.METRIC, "r1", {"loss": ["[0, 1, 0.5]"]}))
    result, sets = check([operation(point), operation(point)], found, Kind.METRIC)
    assert result.verdict is DurabilityVerdict.PASS
    assert sets == KindSets(attempted=1, acknowledged=1, present=1)


def test_one_lost_point_of_a_curve_is_found() -> None:
    curve = [f"[{step}, 1, 0.5]" for step in range(100)]
    acknowledged = [operation(write(Kind.METRIC, "r1", "loss", p)) for p in curve]
    found = read((Kind.METRIC, "r1", {"loss": [p for p in curve if p != "[57, 1, 0.5]"]}))
    result, sets = check(acknowledged, found, Kind.METRIC)
    assert (sets.acknowledged, sets.present, sets.lost) == (100, 99, 1)
    assert "[57, 1, 0.5]" in result.findings[0]


def test_nothing_acknowledged_proves_nothing() -> None:
    assert durability.check([], ReadBack()).verdict is DurabilityVerdict.UNKNOWN


def test_read_errors_are_unread_and_reported(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.read = [line for line in folder.read if line["kind"] not in ("param", "metric point")]
    folder.place("param", "r1", {}, error="MlflowException: HTTP 503")
    folder.place("metric point", "r1", {}, unread={"loss": "ReadTimeout"})
    found = durability.load(folder.save() / "readback.jsonl")
    assert found.values(Kind.PARAM, "r1", "depth") is None
    assert found.values(Kind.METRIC, "r1", "loss") is None
    assert found.values(Kind.METRIC, "r1", "other") == []
    assert found.values(Kind.TAG, "r1", "team") == ["a"]
    assert len(found.errors) == 2


def test_a_damaged_read_back_is_named(tmp_path: Path) -> None:
    path = Folder(tmp_path).good_run().save() / "readback.jsonl"
    path.write_text('{"kind":"nonsense"}\n' + path.read_text())
    with pytest.raises(CannotRunError, match="line 1 does not fit"):
        durability.load(path)
