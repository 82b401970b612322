"""Hand-written histories, good and bad: each fault of each kind is found and named."""

import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workloads.builders import (
    MS,
    Folder,
    ReadBack,
    S,
    durability_of,
    operation,
    plan,
    write,
)
from workloads import CannotRunError
from workloads.history.history import Kind, Operation
from workloads.readback.lines import READ
from workloads.verdict.result import Durability, DurabilityVerdict, KindSets

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
    Kind.FIELD: ("r1", "end_time", "1700000000000"),
}


def read(*places: tuple[Kind, str, dict[str, list[str]]]) -> ReadBack:
    return ReadBack(items={(kind, owner): items for kind, owner, items in places})


def judged(
    operations: list[Operation],
    sources: dict[str, ReadBack],
    events: list[dict[str, Any]] | None = None,
) -> Durability:
    """Judge these operations; `events` are the lines before them, a plan of its own if None."""
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(Path(path))
        known = plan().model_dump(mode="json")
        if events:
            folder.lines = [events[0] | {"plan": known}, *events[1:]]
        else:
            folder.event("plan", 0, plan=known)
        for made in operations:
            folder.operation(made)
        folder.read = [line for name, held in sources.items() for line in held.lines(name)]
        return durability_of(folder.save())


def check(operations: list[Operation], found: ReadBack, kind: Kind) -> tuple[Durability, KindSets]:
    result = judged(operations, {"address": found})
    return result, result.kinds[kind.value]


def check_all(operations: list[Operation], kind: Kind, **found: ReadBack) -> Any:
    """Compare with several sources; `mlflow_a` stands for `mlflow-a`."""
    sources = {name.replace("_", "-"): source for name, source in found.items()}
    result = judged(operations, sources)
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
        assert (sets.recovered, sets.orphans) == (1, 1)
        assert result.kinds["tag"].recovered == 1
        assert result.findings == [f"orphan: {kind} x1 (t1) was made, and no client was told"]

    def test_made_twice_without_an_answer_is_one_orphan_and_a_duplicate(self, kind: Kind) -> None:
        tried = self.one(kind, outcome="info", created=None)
        sets = check([tried], read((kind, "1", {"t1": ["x1", "x2"]})), kind)[1]
        assert (sets.orphans, sets.duplicates) == (1, 1)

    def test_what_a_client_knows_is_no_orphan(self, kind: Kind) -> None:
        again = self.one(kind)
        assert check([again], read((kind, "1", {"t1": ["x1", "x2"]})), kind)[1].orphans == 0
        tried = self.one(kind, outcome="info", created=None)
        assert check([tried], read((kind, "1", {})), kind)[1].orphans == 0

    def test_another_is_unexpected(self, kind: Kind) -> None:
        found = read((kind, "1", {"t1": ["x1"], "": ["x9"]}), (Kind.TAG, "x1", {"team": ["a"]}))
        result, sets = check([self.one(kind)], found, kind)
        assert result.verdict is DurabilityVerdict.FAIL
        assert sets.unexpected == 1
        assert "x9" in result.findings[0]


@pytest.mark.parametrize("kind", [Kind.RUN, Kind.VERSION])
@pytest.mark.parametrize("created", ["x1", None])
def test_a_double_has_what_was_created_with_it(kind: Kind, created: str | None) -> None:
    outcome = "ok" if created else "info"
    writes = write(kind, "1", "t1", None), write(Kind.TAG, None, "team", "a")
    made = operation(*writes, created=created, outcome=outcome)
    found = read(
        (kind, "1", {"t1": ["x1", "x2"]}),
        (Kind.TAG, "x1", {"team": ["a"]}),
        (Kind.TAG, "x2", {"team": ["a"]}),
    )
    result, sets = check([made], found, kind)
    assert sets.duplicates == 1
    assert result.kinds["tag"].unexpected == 0
    assert sets.orphans == (0 if created else 1)
    assert len(result.findings) == 1 + sets.orphans


def tag(value: str | None, begin: int, end: int | None, outcome: str = "ok") -> Operation:
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


ABSENT = None


@pytest.mark.parametrize(
    ("writes", "found", "lost"),
    [
        ([tag("a", 0, 1), tag(ABSENT, 2, 3)], [], 0),
        ([tag("a", 0, 1), tag(ABSENT, 2, 3)], ["a"], 1),
        ([tag("a", 0, 1), tag(ABSENT, 2, 3), tag("b", 4, 5)], ["b"], 0),
        ([tag("a", 0, 1), tag(ABSENT, 2, 3), tag("b", 4, 5)], [], 1),
        ([tag("a", 0, 1), tag(ABSENT, 2, None, "info")], [], 0),
        ([tag("a", 0, 1), tag(ABSENT, 2, None, "info")], ["a"], 0),
        ([tag("a", 0, 1), tag(ABSENT, 2, 3, "fail")], [], 1),
        ([tag("a", 0, 5), tag(ABSENT, 2, 3)], [], 0),  # at the same time
        ([tag("a", 0, 5), tag(ABSENT, 2, 3)], ["a"], 0),
    ],
)
def test_what_was_removed_is_a_value_too(
    writes: list[Operation], found: list[str], lost: int
) -> None:
    items = {"stage": found} if found else {}
    result, sets = check(writes, read((Kind.TAG, "r1", items)), Kind.TAG)
    assert (sets.lost, sets.acknowledged, sets.unexpected) == (lost, 1, 0)
    if lost and found:
        [said] = result.findings
        assert said.startswith("lost: deletion of tag stage = a of run r1, acknowledged ")
        assert said.endswith("; it is there")


def stage(value: str, begin: int, end: int | None, outcome: str = "ok") -> Operation:
    made = tag("", begin, end, outcome)
    made.writes = [write(Kind.FIELD, "r1", "lifecycle_stage", value)]
    return made


@pytest.mark.parametrize(
    ("stages", "found", "lost"),
    [
        ([stage("active", 0, 1), stage("deleted", 2, 3)], "deleted", 0),
        ([stage("active", 0, 1), stage("deleted", 2, 3)], "active", 1),  # a delete that was ignored
        ([stage("deleted", 0, 1), stage("active", 2, 3)], "deleted", 1),  # a lost restore
        ([stage("active", 0, 1), stage("deleted", 2, None, "info")], "deleted", 0),
    ],
)
def test_a_run_is_deleted_and_restored(stages: list[Operation], found: str, lost: int) -> None:
    there = read((Kind.FIELD, "r1", {"lifecycle_stage": [found]}))
    assert check(stages, there, Kind.FIELD)[1].lost == lost


def point(step: int, timestamp: int, value: str) -> str:
    return f"[{step}, {timestamp}, {value}]"


def logged(outcome: str, *points: str) -> Operation:
    writes = (write(Kind.METRIC, "r1", "loss", one) for one in points)
    return operation(*writes, outcome=outcome)


LOW, LATER_LOW, HIGH = point(1, 9, "0.5"), point(1, 9, "0.7"), point(2, 1, "0.1")


@pytest.mark.parametrize(
    ("points", "found", "lost"),
    [
        ([logged("ok", LOW, HIGH, LATER_LOW)], [HIGH], 0),
        ([logged("ok", LOW, HIGH, LATER_LOW)], [LATER_LOW], 1),  # the one that came last
        ([logged("ok", LOW, LATER_LOW)], [LATER_LOW], 0),  # the higher value of one moment
        ([logged("ok", LOW, LATER_LOW)], [LOW], 1),
        ([logged("ok", LOW), logged("info", HIGH)], [LOW], 0),
        ([logged("ok", LOW), logged("info", HIGH)], [HIGH], 0),
        ([logged("ok", HIGH), logged("info", LOW)], [LOW], 1),  # lower, known or not
        ([logged("ok", LOW), logged("fail", HIGH)], [HIGH], 1),
        ([logged("ok", HIGH)], [], 1),
        ([logged("info", HIGH)], [], 0),
        ([logged("ok", point(1, 9, '"NaN"'), point(1, 9, "0.0"))], [point(1, 9, '"NaN"')], 0),
    ],
)
def test_the_value_of_a_metric_is_the_point_of_the_highest_step(
    points: list[Operation], found: list[str], lost: int
) -> None:
    all_points = [one.value or "" for made in points for one in made.writes]
    source = read(
        (Kind.METRIC, "r1", {"loss": all_points}),
        (Kind.LATEST, "r1", {"loss": found} if found else {}),
    )
    source.holds = READ
    result, sets = check(points, source, Kind.LATEST)
    assert (sets.lost, sets.unexpected, sets.duplicates) == (lost, 0, 0)
    assert all("latest metric loss" in said for said in result.findings)


def test_an_older_read_back_knows_of_no_latest_metrics() -> None:
    result, _ = check([logged("ok", LOW)], read((Kind.METRIC, "r1", {"loss": [LOW]})), Kind.METRIC)
    assert result.verdict is DurabilityVerdict.PASS
    assert "latest metric" not in result.kinds


class TestDeletion:
    """A model version, a logged model or a registered model goes with all that it had."""

    def made(self) -> Operation:
        return operation(
            write(Kind.VERSION, "churn", "t1", None),
            write(Kind.TAG, None, "stage", "tested"),
            write(Kind.FIELD, None, "description", "d"),
            created="churn/3",
        )

    def alias(self) -> Operation:
        champion = write(Kind.ALIAS, "churn", "champion", "3")
        return operation(champion, invoked_ns=20 * MS, completed_ns=25 * MS)

    def deleted(self, owner: str = "churn/3", outcome: str = "ok") -> Operation:
        began, ended = 30 * MS, 40 * MS if outcome == "ok" else None
        gone = write(Kind.DELETION, owner, "", None)
        return operation(gone, outcome=outcome, invoked_ns=began, completed_ns=ended)

    def source(self, *, there: bool, alias: bool | None = None) -> ReadBack:
        named = there if alias is None else alias
        return read(
            (Kind.VERSION, "churn", {"t1": ["churn/3"]} if there else {}),
            (Kind.TAG, "churn/3", {"stage": ["tested"]} if there else {}),
            (Kind.FIELD, "churn/3", {"description": ["d"]} if there else {}),
            (Kind.ALIAS, "churn", {"champion": ["3"]} if named else {}),
        )

    @pytest.mark.parametrize("owner", ["churn/3", "churn"])
    def test_gone(self, owner: str) -> None:
        tried = [self.made(), self.alias(), self.deleted(owner)]
        result, sets = check(tried, self.source(there=False), Kind.DELETION)
        assert result.verdict is DurabilityVerdict.PASS
        assert sets == KindSets(attempted=1, acknowledged=1)
        assert result.findings == []

    @pytest.mark.parametrize("owner", ["churn/3", "churn"])
    def test_still_there_is_a_lost_deletion(self, owner: str) -> None:
        tried = [self.made(), self.alias(), self.deleted(owner)]
        result, sets = check(tried, self.source(there=True), Kind.DELETION)
        assert result.verdict is DurabilityVerdict.FAIL
        assert sets.lost == 1
        assert all(said.startswith("lost: deletion of ") for said in result.findings)
        assert len(result.findings) == 4
        version = "lost: deletion of model version churn/3 (t1), acknowledged "
        assert any(said.startswith(version) for said in result.findings)

    def test_its_alias_goes_with_a_version(self) -> None:
        tried = [self.made(), self.alias(), self.deleted()]
        result, sets = check(tried, self.source(there=False, alias=True), Kind.ALIAS)
        assert sets.lost == 1
        assert result.findings[0].startswith("lost: deletion of model alias champion = 3 of churn")

    @pytest.mark.parametrize("there", [True, False])
    def test_an_unanswered_deletion_allows_both(self, there: bool) -> None:
        tried = [self.made(), self.alias(), self.deleted(outcome="info")]
        result, _ = check(tried, self.source(there=there), Kind.DELETION)
        assert result.verdict is DurabilityVerdict.PASS

    def test_not_deleted_and_absent_is_lost(self) -> None:
        tried = [self.made(), self.alias(), self.deleted("churn/4")]
        result, sets = check(tried, self.source(there=False), Kind.VERSION)
        assert (sets.lost, result.kinds["tag"].lost, result.kinds["field"].lost) == (1, 1, 1)

    def test_what_is_made_anew_after_a_deletion_stays(self) -> None:
        again = self.made()
        again.writes[0] = write(Kind.VERSION, "churn", "t2", None)
        again.invoked_ns, again.completed_ns = 50 * MS, 60 * MS
        tried = [self.made(), self.alias(), self.deleted("churn"), again]
        found = self.source(there=True, alias=False)
        found.items[Kind.VERSION, "churn"] = {"t2": ["churn/3"]}
        result, _ = check(tried, found, Kind.VERSION)
        assert result.findings == []

    def test_one_of_many_that_was_not_carried_out(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path).good_run()
        for number in range(20):
            model = f"m-{number}"
            writes = [["logged model", "1", f"r/{model}", None], ["param", None, "depth", "6"]]
            folder.call(105, name="POST logged-models", created=model, writes=writes)
            folder.call(106, writes=[["deletion", model, "", None]])
            folder.place("param", model, {})
        folder.place("logged model", "1", {"r/m-7": ["m-7"]})
        path = folder.save()
        result = durability_of(path)
        assert result.kinds["deletion"] == KindSets(attempted=20, acknowledged=20, lost=1)
        assert "deletion of logged model m-7" in result.findings[0]


def test_what_no_audit_looks_at_is_counted_by_route() -> None:
    acknowledged = [operation(not_audited=["POST traces"]) for _ in range(3)]
    refused = operation(not_audited=["POST traces"], outcome="fail")
    result = judged([*acknowledged, refused], {})
    assert result.not_audited == {"POST traces": 3}


def test_stages_of_runs_are_not_judged_once_an_experiment_was_deleted() -> None:
    active = write(Kind.FIELD, "r1", "lifecycle_stage", "active")
    there = read((Kind.FIELD, "r1", {"lifecycle_stage": ["deleted"]}))
    assert check([operation(active)], there, Kind.FIELD)[1].lost == 1
    by = operation(not_audited=["POST experiments/delete"])
    assert judged([operation(active), by], {"a": there}).findings == []


def test_what_came_with_a_new_name_is_no_stranger() -> None:
    renamed = operation(
        write(Kind.REGISTERED, "registry", "flow", "flow"),
        write(Kind.DELETION, "flow", "renamed", None),
    )
    found = read(
        (Kind.REGISTERED, "registry", {"flow": ["flow"]}),
        (Kind.TAG, "flow", {"team": ["a"]}),
        (Kind.TAG, "flow/1", {"team": ["a"]}),
        (Kind.VERSION, "flow", {"t1": ["flow/1"]}),
    )
    assert judged([renamed], {"a": found}).findings == []


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
    assert judged([], {}).verdict is DurabilityVerdict.UNKNOWN


def test_read_errors_are_unread_and_reported(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.read = [line for line in folder.read if line["kind"] not in ("param", "metric point")]
    folder.place("param", "r1", {}, error="MlflowException: HTTP 503")
    folder.place("metric point", "r1", {}, unread={"loss": "ReadTimeout"})
    result = durability_of(folder.save())
    assert result.verdict is DurabilityVerdict.UNKNOWN
    assert (result.kinds["param"].unread, result.kinds["metric point"].unread) == (1, 1)
    assert result.kinds["tag"] == KindSets(attempted=1, acknowledged=1, present=1)
    assert result.read_errors == [
        "param of r1: MlflowException: HTTP 503",
        "metric point loss of r1: ReadTimeout",
    ]


def test_a_damaged_read_back_is_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run().save()
    path = folder / "readback.jsonl"
    path.write_text('{"kind":"nonsense"}\n' + path.read_text())
    with pytest.raises(CannotRunError, match="line 1 does not fit"):
        durability_of(folder)


@pytest.mark.parametrize("kind", THINGS)
class TestSeveralSources:
    """What was acknowledged has to be in each of them, and to be the same."""

    def test_kept_everywhere(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        there = read((kind, owner, {key: [value]}))
        acknowledged = operation(write(kind, owner, key, value))
        result, sets = check_all([acknowledged], kind, mlflow_a=there, mlflow_b=there)
        assert result.verdict is DurabilityVerdict.PASS
        assert sets == KindSets(attempted=1, acknowledged=1, present=1)
        assert result.sources == ["mlflow-a", "mlflow-b"]

    def test_absent_in_one_is_lost(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        there, gone = read((kind, owner, {key: [value]})), read((kind, owner, {}))
        acknowledged = operation(write(kind, owner, key, value))
        result, sets = check_all([acknowledged], kind, mlflow_a=there, mlflow_b=gone)
        assert result.verdict is DurabilityVerdict.FAIL
        assert (sets.present, sets.lost, sets.differing) == (1, 1, 1)
        assert "absent in mlflow-b, present in mlflow-a" in result.findings[0]

    def test_unread_in_one_is_unknown(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        there = read((kind, owner, {key: [value]}))
        acknowledged = operation(write(kind, owner, key, value))
        for other in (ReadBack(), ReadBack(error="no answer")):
            result, sets = check_all([acknowledged], kind, mlflow_a=there, mlflow_b=other)
            assert result.verdict is DurabilityVerdict.UNKNOWN
            assert (sets.lost, sets.unread) == (0, 1)
        assert result.read_errors == ["mlflow-b: no answer"]
        assert result.sources == ["mlflow-a"]

    def test_a_source_of_other_kinds_is_not_asked(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        there = read((kind, owner, {key: [value]}))
        other = ReadBack(holds=READ - {kind, Kind.LATEST})
        acknowledged = operation(write(kind, owner, key, value))
        result, _ = check_all([acknowledged], kind, mlflow_a=there, other=other)
        assert result.verdict is DurabilityVerdict.PASS
        assert check_all([acknowledged], kind, other=other)[1].unread == 1

    def test_recovered_in_one_only_differs(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        tried = operation(write(kind, owner, key, value), outcome="info", completed_ns=None)
        there, gone = read((kind, owner, {key: [value]})), read((kind, owner, {}))
        result, sets = check_all([tried], kind, mlflow_a=there, mlflow_b=gone)
        assert result.verdict is DurabilityVerdict.FAIL
        assert (sets.recovered, sets.differing, sets.lost) == (1, 1, 0)
        assert result.findings[0].startswith(f"differs: {kind} {key}")

    def test_never_attempted_is_named_once_with_its_sources(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        there = read((kind, owner, {key: [value]}))
        result, sets = check_all([], kind, mlflow_a=there, mlflow_b=there, mlflow_c=ReadBack())
        assert result.verdict is DurabilityVerdict.FAIL
        assert sets == KindSets(present=1, unexpected=1)
        assert result.findings[0].endswith("was never attempted; found in mlflow-a, mlflow-b")


@pytest.mark.parametrize("kind", [Kind.RUN, Kind.MODEL, Kind.VERSION])
def test_created_twice_and_one_of_them_in_one_source_only(kind: Kind) -> None:
    made = operation(write(kind, "1", "t1", None), created="x1")
    both, one = read((kind, "1", {"t1": ["x1", "x2"]})), read((kind, "1", {"t1": ["x1"]}))
    result, sets = check_all([made], kind, mlflow_a=both, mlflow_b=one)
    assert (sets.duplicates, sets.differing, sets.lost) == (1, 1, 0)
    assert "x2 (t1): present in mlflow-a, absent in mlflow-b" in result.findings[0]


def test_two_writes_at_once_may_end_either_way_but_the_same_everywhere() -> None:
    writes = [tag("a", 0, 5), tag("b", 2, 3)]
    there = {value: read((Kind.TAG, "r1", {"stage": [value]})) for value in "ab"}
    result, sets = check_all(writes, Kind.TAG, mlflow_a=there["a"], mlflow_b=there["b"])
    assert (sets.lost, sets.differing) == (0, 1)
    assert result.findings == ["differs: tag stage of r1: mlflow-a has a, mlflow-b has b"]


NOON_NS = 1_767_355_200 * 10**9
"""2026-01-02 12:00:00 UTC."""


def line(type_: str, at_s: float, **fields: Any) -> dict[str, Any]:
    at = int(at_s * S)
    return {"type": type_, "mono_ns": at, "wall_ns": NOON_NS + at, **fields}


def fault(state: str, at_s: float, name: str = "replica-kill") -> dict[str, Any]:
    return line("fault", at_s, fault=name, component="mlflow-b-1", state=state)


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ([], "user 3 by POST runs/log-batch (3.14); nothing is there"),
        (
            [fault("injecting", 4), fault("in effect", 5), fault("healed", 9)],
            ", with replica-kill of mlflow-b-1 in effect; nothing is there",
        ),
        (
            [
                fault("in effect", 5),
                line("fault", 6, fault="noise", component=None, state="failed"),
                fault("healing", 6.5),
            ],
            ", with replica-kill of mlflow-b-1 healing; nothing is there",
        ),
        ([fault("in effect", 1), fault("healed", 2)], "(3.14); nothing is there"),
        ([fault("injecting", 7.5)], ", 0.5 s before replica-kill of mlflow-b-1; nothing is there"),
        ([fault("injecting", 1), fault("failed", 2)], "(3.14); nothing is there"),
    ],
)
def test_what_is_lost_is_told_with_its_time_its_replica_and_the_fault(
    faults: list[dict[str, Any]], said: str
) -> None:
    events = [line("plan", 1), line("phase", 2), line("phase", 3), *faults]
    acknowledged = operation(
        write(Kind.PARAM, "r1", "depth", "6"),
        id="3.14",
        user=3,
        completed_ns=7 * S,
        replica="mlflow-a-1",
    )
    found = read((Kind.PARAM, "r1", {}))
    [finding] = judged([acknowledged], {"address": found}, events).findings
    begin = "lost: param depth = 6 of run r1, acknowledged 2026-01-02 12:00:07.000 UTC (5.0 s in) "
    assert finding.startswith(f"{begin}by mlflow-a-1 to user 3 ")
    assert finding.endswith(said)


def test_sources_are_told_apart_in_the_file(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    other = [entry | {"source": "postgres"} for entry in folder.read]
    folder.read += [
        {"source": "postgres", "holds": ["run", "tag", "param", "metric point"]},
        *other,
    ]
    folder.read += [{"source": "s3", "not_done": "no address"}]
    path = folder.save()
    result = durability_of(path)
    assert result.verdict is DurabilityVerdict.PASS
    assert result.sources == ["address", "postgres"]
    assert result.not_read == ["no address"]
    for entry in folder.read:
        if entry.get("source") == "postgres" and entry.get("kind") == "param":
            entry["items"] = {}
    folder.save()
    result = durability_of(path)
    assert "absent in postgres, present in address" in result.findings[0]


def test_a_source_that_could_not_be_read_makes_everything_unread(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.read += [
        {"source": "mlflow-b-1", "holds": sorted(READ - {Kind.LATEST}), "error": "no answer"}
    ]
    path = folder.save()
    result = durability_of(path)
    assert result.verdict is DurabilityVerdict.UNKNOWN
    assert sum(sets.unread for sets in result.kinds.values()) == 4


def test_one_of_many_that_is_lost(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    for number in range(40):
        run = f"r{number + 2}"
        folder.call(
            105,
            name="POST runs/create",
            created=run,
            writes=[["run", "1", f"token-{run}", None], ["tag", None, "team", "a"]],
        )
        folder.place("tag", run, {"team": ["a"] if number else ["b"]})
    folder.place("run", "1", {f"token-r{number + 2}": [f"r{number + 2}"] for number in range(39)})
    path = folder.save()
    whole = durability_of(path)
    assert whole.kinds["run"].lost == 1
    assert whole.kinds["tag"].lost == 1


def test_what_was_acknowledged_after_a_backup_may_be_there_or_not(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.call(108, writes=[["param", "r1", "late", "1"]])
    path = folder.save()
    assert durability_of(path).kinds["param"].lost == 1
    assert durability_of(path, 109 * S).kinds["param"].lost == 1
    result = durability_of(path, 107 * S)
    assert result.verdict is DurabilityVerdict.PASS
    assert result.kinds["param"] == KindSets(attempted=2, acknowledged=1, present=1)


@pytest.mark.parametrize(("until", "lost"), [(109, 1), (107, 0)])
def test_a_backup_may_have_later_artifacts_without_their_runs(
    tmp_path: Path, until: int, lost: int
) -> None:
    """It takes the artifacts after the database."""
    folder = Folder(tmp_path).good_run()
    folder.call(108, writes=[["artifact", "r9", "notes/text.txt", "abc"]])
    folder.call(108.5, writes=[["param", "r9", "depth", "6"]])
    for kind in ("artifact", "param"):
        folder.place(kind, "r9", {})
    folder.read += [
        {"source": "volume", "holds": ["artifact", "param"]},
        *(one | {"source": "volume"} for one in folder.read if one.get("kind") == "param"),
    ]
    folder.place("artifact", "r9", {"notes/text.txt": ["abc"]}, source="volume")
    folder.place("param", "r9", {"depth": ["6"]}, source="volume")
    path = folder.save()
    result = durability_of(path, until * S)
    assert (result.kinds["artifact"].lost, result.kinds["param"].lost) == (lost, lost)
    assert len(result.findings) == 2 * lost
