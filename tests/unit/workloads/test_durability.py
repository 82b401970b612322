"""Hand-written histories, good and bad: each fault of each kind is found and named."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.workloads.builders import MS, Folder, S, operation, write
from workloads.checkers import durability, readings
from workloads.checkers.readings import ReadBack, Readings
from workloads.checkers.timeline import Timeline
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
    result = durability.check(operations, Readings({"address": found}))
    return result, result.kinds[kind.value]


def check_all(operations: list[Operation], kind: Kind, **found: ReadBack) -> Any:
    """Compare with several sources; `mlflow_a` stands for `mlflow-a`."""
    sources = {name.replace("_", "-"): source for name, source in found.items()}
    result = durability.check(operations, Readings(sources))
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
    assert len(result.findings) == 1


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
    assert durability.check([], Readings()).verdict is DurabilityVerdict.UNKNOWN


def test_read_errors_are_unread_and_reported(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.read = [line for line in folder.read if line["kind"] not in ("param", "metric point")]
    folder.place("param", "r1", {}, error="MlflowException: HTTP 503")
    folder.place("metric point", "r1", {}, unread={"loss": "ReadTimeout"})
    read = readings.load(folder.save() / "readback.jsonl")
    found = read.sources["address"]
    assert found.values(Kind.PARAM, "r1", "depth") is None
    assert found.values(Kind.METRIC, "r1", "loss") is None
    assert found.values(Kind.METRIC, "r1", "other") == []
    assert found.values(Kind.TAG, "r1", "team") == ["a"]
    assert len(read.errors) == 2


def test_a_damaged_read_back_is_named(tmp_path: Path) -> None:
    path = Folder(tmp_path).good_run().save() / "readback.jsonl"
    path.write_text('{"kind":"nonsense"}\n' + path.read_text())
    with pytest.raises(CannotRunError, match="line 1 does not fit"):
        readings.load(path)


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
        for other in (ReadBack(), ReadBack(failed=True, errors=["no answer"])):
            result, sets = check_all([acknowledged], kind, mlflow_a=there, mlflow_b=other)
            assert result.verdict is DurabilityVerdict.UNKNOWN
            assert (sets.lost, sets.unread) == (0, 1)
        assert result.read_errors == ["mlflow-b: no answer"]
        assert result.sources == ["mlflow-a"]

    def test_a_source_of_other_kinds_is_not_asked(self, kind: Kind) -> None:
        owner, key, value = THINGS[kind]
        there = read((kind, owner, {key: [value]}))
        other = ReadBack(holds=frozenset(Kind) - {kind})
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
    timeline = Timeline()
    for one in (line("plan", 1), line("phase", 2), line("phase", 3), *faults):
        timeline.note(one)
    acknowledged = operation(
        write(Kind.PARAM, "r1", "depth", "6"),
        id="3.14",
        user=3,
        completed_ns=7 * S,
        replica="mlflow-a-1",
    )
    found = Readings({"address": read((Kind.PARAM, "r1", {}))})
    [finding] = durability.check([acknowledged], found, timeline).findings
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
    result = durability.judge(path / "history.jsonl", path / "readback.jsonl")
    assert result.verdict is DurabilityVerdict.PASS
    assert result.sources == ["address", "postgres"]
    assert result.not_read == ["no address"]
    for entry in folder.read:
        if entry.get("source") == "postgres" and entry.get("kind") == "param":
            entry["items"] = {}
    folder.save()
    result = durability.judge(path / "history.jsonl", path / "readback.jsonl")
    assert "absent in postgres, present in address" in result.findings[0]


def test_a_source_that_could_not_be_read_makes_everything_unread(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.read += [{"source": "mlflow-b-1", "holds": list(Kind), "error": "no answer"}]
    path = folder.save()
    result = durability.judge(path / "history.jsonl", path / "readback.jsonl")
    assert result.verdict is DurabilityVerdict.UNKNOWN
    assert sum(sets.unread for sets in result.kinds.values()) == 4


def test_parts_say_the_same_as_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    whole = durability.judge(path / "history.jsonl", path / "readback.jsonl")
    monkeypatch.setattr(durability, "PART_BYTES", 1000)
    parts = durability.judge(path / "history.jsonl", path / "readback.jsonl")
    assert parts.kinds == whole.kinds
    assert sorted(parts.findings) == sorted(whole.findings)
    assert whole.kinds["run"].lost == 1
    assert whole.kinds["tag"].lost == 1


def test_what_was_acknowledged_after_a_backup_may_be_there_or_not(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.call(108, writes=[["param", "r1", "late", "1"]])
    path = folder.save()
    files = path / "history.jsonl", path / "readback.jsonl"
    assert durability.judge(*files).kinds["param"].lost == 1
    assert durability.judge(*files, until_ns=109 * S).kinds["param"].lost == 1
    result = durability.judge(*files, until_ns=107 * S)
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
    result = durability.judge(path / "history.jsonl", path / "readback.jsonl", until_ns=until * S)
    assert (result.kinds["artifact"].lost, result.kinds["param"].lost) == (lost, lost)
    assert len(result.findings) == 2 * lost
