"""Runs of several stages: which one decides, what is said of a climb, and what gave out."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workloads.builders import Folder, S, stage
from workloads.history.record import Record
from workloads.plan.plan import Load, Stage
from workloads.report.exports import BIGGER, OPERATIONS, SMALLER, STAGES
from workloads.scenarios.climb import rate_at_knee
from workloads.scenarios.scenario import Level
from workloads.verdict.judge import conclude, judge
from workloads.verdict.result import Judgement, Result

LEVELS = (1, 2, 4, 8, 16, 32)
CALLS = (90, 180, 360, 540, 549, 545)


def level(users: int) -> Stage:
    return stage(name=f"{users} users", users=users, load_s=9)


def climb(path: Path, calls: tuple[int, ...] = CALLS) -> Folder:
    """A climb whose knee is at 8 users; 9 s a stage."""
    folder = Folder(path).api_run(*(level(users) for users in LEVELS), calls=0)
    for number, count in enumerate(calls):
        for call in range(count):
            folder.call(100 * (number + 1) + 2 + 9 * call / count, ms=20)
    return folder


def observe(folder: Folder, number: int, **changes: Any) -> None:
    """Add eight looks at stage `number`: cores in use by name, beside the database's figures."""
    cpu = {"mlflow": 0.2, "postgres": 0.1} | changes.get("cpu", {})
    for second in range(8):
        at = 100 * (number + 1) + 3 + second
        folder.event(
            "observe",
            at,
            machine={
                "cores": 2,
                "busy_s": second * changes.get("busy", 0.6),
                "io_wait_s": second * changes.get("io_wait", 0.0),
            },
            components={
                name: {
                    "at": float(at),
                    "cpu_s": second * cores,
                    "cpu_limit": changes.get("limit", {}).get(name),
                    "memory": 300 << 20,
                    "memory_limit": changes.get("memory_limit"),
                    "read": None,
                    "written": 1000 * second,
                }
                for name, cores in cpu.items()
            },
            database={
                "connections": changes.get("connections", 20),
                "max_connections": 220,
                "active": 2,
                "idle_in_transaction": 0,
                "waiting": changes.get("waiting", {}),
                "size_bytes": 9 << 20,
            },
        )


def test_the_knee_decides(tmp_path: Path) -> None:
    result, _ = judge(climb(tmp_path).save())
    assert result.verdict.judgement is Judgement.GOOD, result.verdict.reasons
    assert result.judged_stage == "8 users"
    assert result.capacity
    assert (result.capacity.knee.users, result.capacity.knee.rate) == (8, 60.0)
    assert result.capacity.knee.reached
    assert result.capacity.users_within_objectives == 32
    assert result.capacity.fit
    assert any(
        r.startswith("The knee is at 8 users with 60 calls/s") for r in result.verdict.reasons
    )


def test_no_knee_is_said(tmp_path: Path) -> None:
    result, _ = judge(climb(tmp_path, (60, 120, 240, 480, 960, 1920)).save())
    assert result.judged_stage == "32 users"
    assert any(r.startswith("No knee up to 32 users") for r in result.verdict.reasons)


def too_busy_from(folder: Folder, second: int) -> Result:
    """Let the generator be the limit from then on."""
    for line in folder.lines:
        if line["type"] == "sample" and line["mono_ns"] > second * S:
            line["cpu_s"] = 0.95
    return judge(folder.save())[0]


def test_levels_beyond_the_knee_may_not_count(tmp_path: Path) -> None:
    result = too_busy_from(climb(tmp_path), 600)
    assert [s.bounded for s in result.stages] == [False] * 5 + [True]
    assert result.verdict.judgement is Judgement.GOOD
    assert result.capacity
    assert (result.capacity.knee.users, result.capacity.knee.rate) == (8, 60.0)
    assert result.capacity.fit is None, "five points are no law"
    said = " ".join(result.verdict.reasons)
    assert "Invalid stages: 32 users (generator CPU: 95% at most)" in said


def test_a_climb_that_the_generator_ended_tells_what_was_served_at_least(tmp_path: Path) -> None:
    result = too_busy_from(climb(tmp_path), 500)
    assert [s.bounded for s in result.stages] == [False] * 4 + [True] * 2
    assert result.verdict.judgement is Judgement.GOOD
    said = " ".join(result.verdict.reasons)
    assert "No knee can be told from 16 users on: the generator was the limit there" in said
    assert "At least 61 calls/s were served." in said
    assert "The knee" not in said


def test_a_generator_that_is_late_at_every_level_says_what_is_met(tmp_path: Path) -> None:
    folder = climb(tmp_path)
    for line in folder.lines:
        if line["type"] == "sample":
            line["lag_ms"] = [50.0]
    result, _ = judge(folder.save())
    assert result.verdict.judgement is Judgement.GOOD
    said = " ".join(result.verdict.reasons)
    assert "1 user: ≥ 10 API calls/s (objective ≥ 5), p95 ≤ " in said
    assert "The generator was late (loop lag" in said


def test_within_the_objectives_is_a_prefix(tmp_path: Path) -> None:
    """Too slow at 8 users and in time at 16: up to 4 users are served in time."""
    folder = climb(tmp_path)
    for line in folder.lines:
        if line["type"] == "ok" and 402 * S <= line["mono_ns"] < 413 * S:
            line["mono_ns"] += S
    result, _ = judge(folder.save())
    assert result.capacity
    assert result.capacity.users_within_objectives == 4


def test_a_failed_call_at_the_top_keeps_the_knee(tmp_path: Path) -> None:
    folder = climb(tmp_path)
    folder.call(604, outcome="info", error="HTTP 500: boom")
    result, _ = judge(folder.save())
    assert result.verdict.judgement is Judgement.BAD
    said = " ".join(result.verdict.reasons)
    assert "1 of 2265 calls failed, first at 32 users" in said
    assert "The knee is at 8 users" in said


@pytest.mark.parametrize("end_s", [100.5, 103, 111.5, 202, 205, 302.01, 311.5, 405])
@pytest.mark.parametrize("judged", [True, False])
def test_an_interrupted_climb_can_be_judged_and_written(
    tmp_path: Path, end_s: float, judged: bool
) -> None:
    """Wherever it ended: a call under way did not fail, and no stage may have been judged yet."""
    stages = [
        *(stage(name=f"{n} users", users=n, load_s=9, judged=judged) for n in (1, 2, 4)),
        stage(name="20/s", load=Load.OPEN, rate=20, users=8, load_s=9),
    ]
    folder = Folder(tmp_path).api_run(*stages, calls=300)
    folder.lines = [line for line in folder.lines if line["mono_ns"] < end_s * S]
    folder.call(end_s, outcome=None)
    folder.event("interrupted", end_s + 0.1)
    folder.read = []
    result = conclude(folder.save())
    assert result.verdict.judgement is Judgement.INVALID
    assert result.errors == {}


def test_planned_latency_is_what_counts(tmp_path: Path) -> None:
    """Each call takes 20 ms, and begins 300 ms late as every user is busy: 320 ms count."""
    opened = stage(name="60/s", load=Load.OPEN, rate=60, users=4)
    folder = Folder(tmp_path).api_run(opened)
    for line in folder.lines:
        if line["type"] == "invoke" and line["planned_ns"]:
            line |= {"planned_ns": line["mono_ns"] - 300_000_000, "queued": True}
    folder.lines[0]["plan"]["objectives"]["p95_ms"] = 100
    calls = judge(folder.save())[0].stages[0].calls
    assert calls.p95_ms is not None
    assert calls.p95_ms < 30
    assert calls.response_time
    assert calls.response_time.p95_ms is not None
    assert calls.response_time.p95_ms > 300


def late(folder: Folder, by_s: float, queued: bool) -> None:
    for line in folder.lines:
        if line["type"] == "invoke" and line["planned_ns"]:
            line |= {"planned_ns": line["mono_ns"] - int(by_s * S), "queued": queued}


@pytest.mark.parametrize(
    ("by_s", "queued", "passed"),
    [(0.009, False, True), (0.011, False, False), (0.5, True, None)],
)
def test_schedule_lag(tmp_path: Path, by_s: float, queued: bool, passed: bool | None) -> None:
    """A call that waited for a user is no lag; if none was on time, nothing is known of it."""
    folder = Folder(tmp_path).api_run(stage(name="60/s", load=Load.OPEN, rate=60, users=4))
    late(folder, by_s, queued)
    gates = judge(folder.save())[0].stages[0].gates
    assert next(g for g in gates if g.name == "schedule lag").passed is passed


def test_a_planned_call_belongs_to_its_planned_window(tmp_path: Path) -> None:
    """Those of the last second begin 5 s late, beyond the window: their waiting still counts."""
    folder = Folder(tmp_path).api_run(stage(name="60/s", load=Load.OPEN, rate=60, users=4))
    moved = set()
    for line in folder.lines:
        if line["type"] == "invoke" and line["planned_ns"] and line["planned_ns"] >= 111 * S:
            line |= {"mono_ns": line["mono_ns"] + 5 * S, "queued": True}
            moved.add(line["op"])
        elif line.get("op") in moved:
            line["mono_ns"] += 5 * S
    calls = judge(folder.save())[0].stages[0].calls
    assert calls.count == 600
    assert calls.response_time
    assert calls.response_time.max_ms is not None
    assert calls.response_time.max_ms > 5000


def test_planned_calls_that_were_never_begun_are_bad(tmp_path: Path) -> None:
    folder = Folder(tmp_path).api_run(stage(name="60/s", load=Load.OPEN, rate=60, users=4))
    before = judge(folder.save())[0].verdict.judgement
    assert before is Judgement.GOOD
    folder.event("unserved", 140, process=0, planned_ns=[50 * S, 105 * S, 106 * S, 130 * S])
    result, _ = judge(folder.save())
    assert result.stages[0].dropped_calls == 2
    assert result.verdict.judgement is Judgement.BAD
    assert "2 of 602 planned calls were never sent at 60.0 planned" in result.verdict.reasons[0]


@pytest.mark.parametrize(("rate", "passed"), [(2000.0, True), (119.0, False), (None, False)])
def test_the_generators_ceiling(tmp_path: Path, rate: float | None, passed: bool) -> None:
    folder = Folder(tmp_path).api_run(level(2))
    folder.lines = [line for line in folder.lines if line["type"] != "ceiling"]
    if rate is not None:
        folder.event("ceiling", 99, rate=rate)
    gates = judge(folder.save())[0].stages[0].gates
    assert next(g for g in gates if g.name == "generator's ceiling").passed is passed


def test_three_windows_within_a_tenth(tmp_path: Path) -> None:
    def passed(folder: Folder) -> bool | None:
        gates = judge(folder.save())[0].stages[0].gates
        return next(g for g in gates if g.name == "warm-up settled").passed

    steady = Folder(tmp_path / "steady").api_run(stage(load_s=15), calls=900)
    assert passed(steady) is True
    more = Folder(tmp_path / "more").api_run(stage(load_s=15), calls=900)
    for call in range(40):
        more.call(108 + call / 10)
    assert passed(more) is False


LIMITS: dict[str, tuple[dict[str, Any], str, str]] = {
    "connections": ({"connections": 200}, "PostgreSQL's connections", "200 of 220 were open"),
    "CPU limit": (
        {"cpu": {"mlflow": 0.49}, "limit": {"mlflow": 0.5}},
        "the CPU limit of mlflow",
        "0.49 of 0.50 cores",
    ),
    "memory": ({"memory_limit": 320 << 20}, "the memory limit of mlflow", "300 of 320 MiB"),
    "machine": ({"busy": 1.9, "cpu": {"mlflow": 1.2}}, "the machine's CPU", "mlflow 1.20"),
    "disk": ({"io_wait": 0.8}, "the disk", "0.8 of 2 cores idle for it"),
    "locks": ({"waiting": {"Lock": 1.5}}, "PostgreSQL's sessions waiting for Lock", "1.5 of 2.0"),
    "worker": ({"cpu": {"mlflow": 0.95}, "busy": 1.2}, "the worker processes", "mlflow 0.95"),
}


@pytest.mark.parametrize("case", LIMITS)
def test_what_gave_out_first(tmp_path: Path, case: str) -> None:
    changes, what, evidence = LIMITS[case]
    folder = climb(tmp_path)
    observe(folder, 5, **changes)
    result, _ = judge(folder.save())
    assert result.bottleneck
    assert (result.bottleneck.resource or "").startswith(what)
    assert evidence in " ".join(result.bottleneck.evidence)
    assert any(r.startswith(f"Bottleneck: {what}") for r in result.verdict.reasons)


@pytest.mark.parametrize(
    ("cores", "remedy"), [(1.2, "mlflow uses the most"), (0.3, "End the other")]
)
def test_other_work_on_the_machine_is_told_apart(tmp_path: Path, cores: float, remedy: str) -> None:
    folder = climb(tmp_path)
    observe(folder, 5, busy=1.9, cpu={"mlflow": cores})
    result, _ = judge(folder.save())
    assert result.bottleneck
    assert remedy in result.bottleneck.remedy
    assert f"other work {1.9 - cores - 0.1 - 0.3:.2f}" in result.bottleneck.evidence


def test_a_knee_without_a_known_reason_is_said(tmp_path: Path) -> None:
    folder = climb(tmp_path)
    observe(folder, 5)
    result, _ = judge(folder.save())
    assert result.bottleneck
    assert result.bottleneck.resource is None
    assert any(r.startswith("No bottleneck was seen") for r in result.verdict.reasons)


def test_cost_of_a_call(tmp_path: Path) -> None:
    """0.3 cores for 60 calls/s are 5 ms a call."""
    folder = climb(tmp_path)
    observe(folder, 3)
    seen = judge(folder.save())[0].stages[3].observed
    assert seen
    assert seen.cpu_ms_per_call == pytest.approx(5)
    assert seen.components["postgres"].written_bytes == 7000
    assert seen.components["postgres"].read_bytes is None
    assert seen.machine.generator_cpu == pytest.approx(0.3)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Result]:
    folder = climb(tmp_path)
    observe(folder, 3)
    return tmp_path, conclude(folder.save())


def test_tables_for_other_programs(written: tuple[Path, Result]) -> None:
    path, result = written
    rows = list(csv.DictReader((path / STAGES).read_text().splitlines()))
    assert [row["stage"] for row in rows] == [f"{users} users" for users in LEVELS]
    assert float(rows[3]["rate"]) == 60
    assert float(rows[3]["cpu_ms_per_call"]) == pytest.approx(5)
    calls = next(csv.DictReader((path / OPERATIONS).read_text().splitlines()))
    assert (calls["stage"], calls["name"]) == ("8 users", "all API calls")
    assert float(calls["p95_ms"]) == pytest.approx(result.operations[0].p95_ms or 0)
    for name in (SMALLER, BIGGER):
        entries = json.loads((path / name).read_text())
        assert all(entry.keys() == {"name", "unit", "value"} for entry in entries)
        assert len({entry["name"] for entry in entries}) == len(entries)
    assert {"lost", "failed calls"} <= {
        entry["name"].split(": ")[1] for entry in json.loads((path / SMALLER).read_text())
    }


def test_the_published_schema_fits(written: tuple[Path, Result]) -> None:
    import jsonschema

    published = json.loads(Path("docs/result.schema.json").read_text())
    assert published == Result.model_json_schema(), "python -m workloads schema > it"
    jsonschema.validate(json.loads((written[0] / "result.json").read_text()), published)


def test_memory_does_not_grow_with_what_was_logged(tmp_path: Path) -> None:
    """Many times the history, for the same calls: neither reading nor judging keeps it."""
    import tracemalloc

    from workloads.history import record

    def peak(points: int) -> int:
        folder = Folder(tmp_path / str(points)).api_run(level(2), calls=600)
        for line in folder.lines:
            if line["type"] == "invoke":
                line["writes"] = [
                    ["metric point", "r1", "m", f"[{n}, 1, 1]"] for n in range(points)
                ]
        path = folder.save()
        tracemalloc.start()
        read: Record = record.load(path / "history.jsonl")
        assert len(read.operations) == 601
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(60) < 2 * peak(4)


def climbed(rates: dict[int, float], limited: set[int], most: int) -> tuple[list[int], float]:
    """Users of the stages that a climb asks for, and the rate that it takes for the knee's."""
    asked: list[int] = []
    stages = rate_at_knee(
        lambda: {users: Level(rates[users], users in limited) for users in asked},
        most=most,
        seconds=1,
    )
    try:
        while True:
            asked.append(next(stages).users)
    except StopIteration as end:
        return asked, end.value


@pytest.mark.parametrize(
    ("rates", "limited", "asked", "rate"),
    [
        ({1: 10, 2: 20, 4: 21, 8: 21}, set(), [1, 2, 4, 8], 20),
        ({1: 10, 2: 20, 4: 40, 8: 80, 16: 82, 32: 83}, set(), [1, 2, 4, 8, 16], 80),
        ({1: 10, 2: 20, 4: 30, 8: 31}, {4, 8}, [1, 2, 4], 30),
        ({2**n: 10 * 2**n for n in range(8)}, set(), [1, 2, 4, 8, 16, 32, 64, 128], 1280),
    ],
)
def test_a_climb_goes_on_to_the_knee_and_ends_at_the_generators_limit(
    rates: dict[int, float], limited: set[int], asked: list[int], rate: float
) -> None:
    assert climbed(rates, limited, 8) == (asked, rate)


@pytest.mark.parametrize("most", [128, 200])
def test_a_climb_has_each_level_once(most: int) -> None:
    asked, _ = climbed({n: float(n) for n in (1, 2, 4, 8, 16, 32, 64, 128, 200)}, set(), most)
    assert asked == sorted(set(asked))
    assert asked[-1] == most
