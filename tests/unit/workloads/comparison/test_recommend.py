"""What is recommended, and that nothing is that was not shown."""

import argparse
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.unit.workloads.builders import fault
from tests.unit.workloads.comparison.test_table import compared, row
from tests.unit.workloads.verdict.test_stages import LEVELS, climb
from workloads.comparison import layout, needs, recommend, saved_results, table
from workloads.verdict.judge import conclude, judge


def needed(text: str) -> needs.Needs:
    parser = argparse.ArgumentParser()
    needs.add_arguments(parser)
    return needs.read(parser.parse_args(text.split()))


@pytest.mark.parametrize(
    ("text", "size"),
    [("200MB", 200_000_000), ("1.5 GiB", 3 * 2**29), ("16kib", 2**14), ("7", 7)],
)
def test_sizes_have_units(text: str, size: int) -> None:
    parser = argparse.ArgumentParser()
    needs.add_arguments(parser)
    assert needs.read(parser.parse_args(["--artifact-size", text])).artifact_bytes == size


def test_needs_are_read() -> None:
    found = needed("--users 40 --must-survive replica,zone --outage-limit 5")
    assert found == needs.Needs(40, None, (needs.Loss.REPLICA, needs.Loss.ZONE), 5.0)
    assert found.any
    assert not needed("").any


def advice(folder: Path, text: str) -> recommend.Recommendation:
    return recommend.recommend(saved_results.load([folder]), needed(text))


def test_what_was_not_measured_is_not_recommended(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"local": 20, "multi-az": 30})
    found = advice(folder, "--users 40 --artifact-size 200MB")
    assert [answer.met for answer in found.candidates[0].answers] == [True, None, None]
    assert found.sentences == [
        "Nothing speaks against local, but not all of it was measured: no climb says how many it "
        "serves; measure it: python -m workloads run --stack local --scenario capacity; no "
        "artifacts of that size were tried; measure it: python -m workloads run --stack local "
        "--scenario artifacts --set sizes_kib=195313."
    ]


def test_what_could_not_be_tried_is_last(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"local": 20, "multi-az": 30})
    first, second = map(json.loads, (folder / layout.PROGRESS).read_text().splitlines())
    first |= {"runs": {}, "error": "pulumi up failed"}
    (folder / layout.PROGRESS).write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n")
    found = advice(folder, "--must-survive zone")
    assert [one.stack for one in found.candidates] == ["multi-az", "local"]
    assert found.candidates[1].answers[0].reason == "pulumi up failed"


def test_lost_data_is_never_recommended(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"local": 20, "multi-az": 30})
    run = folder / "0-0-local" / "metrics"
    (run / "readback.jsonl").write_text(
        (run / "readback.jsonl").read_text().replace('"depth"', '"gone"')
    )
    conclude(run)
    found = advice(folder, "--users 2")
    assert [one.stack for one in found.candidates] == ["multi-az", "local"]
    assert found.candidates[1].answers[0].met is False


def edit(run: Path, **changes: Any) -> None:
    """Change a saved result: `a__b=1` sets `b` of `a`."""
    path = run / "result.json"
    found = json.loads(path.read_text())
    for name, value in changes.items():
        *way, last = name.split("__")
        place = found
        for step in way:
            place = place[int(step) if step.isdecimal() else step]
        place[last] = value
    path.write_text(json.dumps(found))


ON_TIME = {"name": "probe on time", "limit": "0.25 s", "measured": "0.1 s", "remedy": "Do."}


def broken(run: Path, *faults: dict[str, Any], replicas: int = 2, **changes: Any) -> None:
    """Make a saved run one in which these things were struck, each in its turn."""
    known = {"baseline_rate": 20, "baseline_p95_ms": 30, "gates": [ON_TIME | {"passed": True}]}
    edit(
        run,
        plan__scenario="resilience",
        plan__faults=[one["fault"] for one in faults],
        plan__target__replicas=replicas,
        resilience=known | {"faults": list(faults)},
        **changes,
    )


LOST = {
    "durability__verdict": "fail",
    "durability__kinds__param__lost": 1,
    "facts": ["param: 1 lost, 9 acknowledged."],
}
CALLS_FAILED = {"facts": ["30 of 600 calls failed."]}
TWO = (fault(), fault("store-kill", failed=200, outage_s=12))


@pytest.mark.parametrize(
    ("faults", "changes", "loss", "met", "why"),
    [
        ([fault()], {}, "replica", True, "replica-kill: no answer for up to 0.8 s, 0 of 401 calls"),
        ([fault(failed=140)], {}, "replica", False, "140 of 401 calls failed"),
        (
            [fault(outage_s=12)],
            {},
            "replica",
            False,
            "outage of 12.00 s; the objective is 10",
        ),
        (
            [fault(recovered_s=None, recovery_time_s=None)],
            {},
            "replica",
            False,
            "service was not restored",
        ),
        ([fault(recovery_time_s=20)], {}, "replica", False, "only 20.0 s after it was healed"),
        ([fault()], CALLS_FAILED, "replica", False, "30 of 600 calls failed"),
        ([fault()], LOST, "replica", False, "replica-kill: param: 1 lost"),
        # Several in one run: each by itself, but nobody knows which one lost something.
        (TWO, {}, "replica", True, "replica-kill: no answer for up to 0.8 s"),
        (TWO, {}, "store-outage", False, "outage of 12.00 s"),
        (
            TWO,
            LOST,
            "replica",
            None,
            "param: 1 lost, 9 acknowledged, by this or another fault of its run; try",
        ),
        (TWO, LOST, "store-outage", False, "outage of 12.00 s"),
        ([fault(), fault("replica-stop")], LOST, "replica", False, "param: 1 lost"),
        ([fault("replica-stop"), fault(failed=140)], {}, "replica", False, "140 of 401 calls"),
        # A restart is no loss.
        ([fault("postgres-restart")], {}, "database-outage", True, "postgres-restart: no answer"),
        ([fault("postgres-restart")], {}, "database", None, "ask whoever operates it"),
        ([fault("nfs-restart")], {}, "store", False, "it has one artifact store (an outage"),
        ([fault()], {}, "zone", False, "it has one zone"),
        ([fault()], {}, "store-outage", None, "not tried; try it: "),
        ([fault()], {}, "balancer-outage", None, "it has none of its own"),
    ],
)
def test_a_fault_says_what_is_survived(
    tmp_path: Path,
    faults: list[dict[str, Any]],
    changes: dict[str, Any],
    loss: str,
    met: bool | None,
    why: str,
) -> None:
    folder = compared(tmp_path, {"multi-az": 20})
    broken(folder / "0-0-multi-az" / "metrics", *faults, **changes)
    answer = advice(folder, f"--must-survive {loss}").candidates[0].answers[1]
    assert (answer.met, why in answer.reason) == (met, True), answer.reason


def test_the_outage_limit_is_the_persons(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"multi-az": 20})
    broken(folder / "0-0-multi-az" / "metrics", fault(outage_s=12))
    assert advice(folder, "--must-survive replica --outage-limit 20").candidates[0].answers[1].met
    figures = row(table.compare(saved_results.load([folder])), "longest outage")
    assert figures.quantity.part == "fault replica-kill"
    assert figures.cells["multi-az"].value == 12


def test_the_worst_block_answers(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"multi-az": 20}, {"multi-az": 20})
    broken(folder / "0-0-multi-az" / "metrics", fault(failed=140))
    broken(folder / "1-0-multi-az" / "metrics", fault())
    assert advice(folder, "--must-survive replica").candidates[0].answers[1].met is False


def test_one_replica_does_not_survive_its_loss(tmp_path: Path) -> None:
    """What comes back after five seconds was restarted, not survived."""
    folder = compared(tmp_path, {"local": 20})
    broken(folder / "0-0-local" / "metrics", fault(), replicas=1)
    answer = advice(folder, "--must-survive replica").candidates[0].answers[1]
    assert (answer.met, answer.reason) == (
        False,
        "it has one replica: nobody answers until that is back",
    )


@pytest.mark.parametrize("loss", needs.Loss)
def test_of_an_address_nothing_is_known(tmp_path: Path, loss: needs.Loss) -> None:
    folder = compared(tmp_path, {"some-host": 20})
    edit(folder / "0-0-some-host" / "metrics", plan__target=None)
    answer = advice(folder, f"--must-survive {loss}").candidates[0].answers[1]
    assert (answer.met, "only its address is known" in answer.reason) == (None, True)


def test_the_words_tell_an_outage_from_a_loss(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"local": 20})
    found = advice(folder, "--must-survive database-outage,database")
    assert [answer.need for answer in found.candidates[0].answers[1:]] == [
        "survives an outage of the database, its data kept",
        "survives the loss of the database with its data",
    ]


def test_a_fault_of_a_run_that_does_not_count_answers_nothing(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"multi-az": 20})
    run = folder / "0-0-multi-az" / "metrics"
    broken(run, fault())
    edit(run, resilience__gates=[ON_TIME | {"passed": False}])
    answer = advice(folder, "--must-survive replica").candidates[0].answers[1]
    assert answer.met is None
    assert "replica-kill: Invalid: probe on time" in answer.reason
    found = row(table.compare(saved_results.load([folder])), "longest outage")
    assert not found.cells["multi-az"].valid


def test_one_zone_does_not_survive_its_loss(tmp_path: Path) -> None:
    found = advice(compared(tmp_path, {"local": 20}), "--must-survive zone")
    assert found.sentences == [
        "None of these stacks meets every need. Nearest is local: it has one zone."
    ]


def test_what_was_bad_is_told_with_the_advice(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"local": 20})
    reasons = ["p95 of API calls is 1200 ms with 2 users; the objective is 1000 ms."]
    edit(folder / "0-0-local" / "metrics", verdict={"judgement": "bad", "reasons": reasons})
    found = advice(folder, "--artifact-size 1KB")
    assert found.sentences[-1] == f"But look at what was bad on local: metrics: {reasons[0]}"


LATE = ON_TIME | {"passed": False}
"""A gate that did not pass, and may have made the server look better or worse."""


@cache
def climbed() -> str:
    """A climb to 32 users, as it is judged."""
    with TemporaryDirectory() as path:
        return judge(climb(Path(path)).save())[0].model_dump_json()


def climbs(tmp_path: Path, *blocks: dict[str, Any]) -> Path:
    """A comparison whose blocks each have the same climb, with these changes."""
    folder = compared(tmp_path, *({"local": 20.0} for _ in blocks))
    for number, changes in enumerate(blocks):
        run = folder / f"{number}-0-local" / "metrics"
        (run / "result.json").write_text(climbed())
        edit(run, plan__scenario="capacity", **changes)
    return folder


def up_to(users: int, **changes: Any) -> dict[str, Any]:
    """Changes of a climb after which the objectives hold up to so many users."""
    slow = {
        f"stages__{number}__calls__p95_ms": 200
        for number, level in enumerate(LEVELS)
        if level > users
    }
    return slow | {"capacity__users_within_objectives": users or None} | changes


def late_from(users: int) -> dict[str, Any]:
    """Changes of a climb after which the generator was late from so many users on."""
    gates = [LATE | {"one_sided": True}]
    return {
        f"stages__{number}__gates": gates for number, level in enumerate(LEVELS) if level >= users
    }


@pytest.mark.parametrize(
    ("blocks", "users", "met", "why"),
    [
        ([up_to(16)], 16, True, "at least 16 who log without a pause are in time"),
        ([up_to(16)], 20, None, "only 16 were seen to be served; measure it"),  # 32 are not
        ([up_to(16)], 32, False, "only up to 16 who log without a pause are served in time, 32"),
        ([up_to(32)], 100, False, "at 61 calls/s, the most it does, each of 100 would wait"),
        ([up_to(32, capacity__knee__reached=False)], 100, None, "only 32 were seen"),
        # The worst deployment is not dropped, also where not even one user was served in time.
        ([up_to(16), up_to(0)], 16, False, "only up to 0 who log"),
        # What does not count says nothing, in either way.
        ([up_to(16, gates=[LATE])], 8, None, "no climb says how many"),
        ([up_to(4, gates=[LATE]), up_to(16)], 16, True, "at least 16"),
        # A late generator proves that so many are served, not that more are not.
        ([up_to(16) | late_from(8)], 16, True, "at least 16"),
        ([up_to(16) | late_from(8)], 32, None, "only 16 were seen"),
    ],
)
def test_climbs_say_how_many_users_are_served(
    tmp_path: Path, blocks: list[dict[str, Any]], users: int, met: bool | None, why: str
) -> None:
    found = advice(climbs(tmp_path, *blocks), f"--users {users}")
    answer = found.candidates[0].answers[1]
    assert (answer.met, why in answer.reason) == (met, True), answer.reason
    assert ("Take local" in found.sentences[0]) is (met is True)
    assert any("no multi-AZ" in limit for limit in found.limits)


@pytest.mark.parametrize(
    ("judgement", "users", "met"),
    [
        ("good", 2, True),
        ("good", 3, None),
        ("bad", 2, False),
        ("bad", 1, None),
        ("invalid", 2, None),
    ],
)
def test_a_run_of_one_number_of_users_says_only_what_it_tried(
    tmp_path: Path, judgement: str, users: int, met: bool | None
) -> None:
    folder = compared(tmp_path, {"local": 20})
    edit(folder / "0-0-local" / "metrics", verdict={"judgement": judgement, "reasons": ["Slow."]})
    assert advice(folder, f"--users {users}").candidates[0].answers[1].met is met


def moved(run: Path, *sizes: tuple[int, float, int], **changes: Any) -> None:
    """Make a saved run one that moved files: MiB, MiB/s and errors of each size."""
    first = json.loads((run / "result.json").read_text())["operations"][0]
    rows = [
        first
        | {"name": f"{size} MiB", "errors": errors, "mib_per_s": rate}
        | {"size_bytes": size << 20}
        for size, rate, errors in sizes
    ]
    edit(run, plan__scenario="artifacts", operations=rows, **changes)


@pytest.mark.parametrize(
    ("sizes", "changes", "met", "why"),
    [
        ([(1, 90, 0), (256, 50, 0)], {}, True, "about 4.0 s each, at 50 MiB/s"),
        ([(1, 90, 0)], {}, None, "tried up to 1 MiB; measure it: "),
        ([(256, 50, 3)], {}, False, "artifacts failed"),
        ([(256, 50, 0)], {"gates": [LATE]}, None, "the runs that tried are invalid"),
        ([(256, 50, 3)], {"gates": [LATE]}, False, "artifacts failed"),
        ([(256, 50, 0)], {"gates": [LATE | {"one_sided": True}]}, True, "at most 4.0 s each"),
    ],
)
def test_files_of_runs_that_count_say_what_they_take(
    tmp_path: Path,
    sizes: list[tuple[int, float, int]],
    changes: dict[str, Any],
    met: bool | None,
    why: str,
) -> None:
    folder = compared(tmp_path, {"local": 20})
    moved(folder / "0-0-local" / "metrics", *sizes, **changes)
    answer = advice(folder, "--artifact-size 200MiB").candidates[0].answers[1]
    assert (answer.met, why in answer.reason) == (met, True), answer.reason
