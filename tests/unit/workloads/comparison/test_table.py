"""The table and the claims of a comparison."""

import json
import re
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.unit.workloads.builders import Folder, fault, plan, stage, target
from workloads import CannotRunError
from workloads.commands.application import main
from workloads.comparison import console, layout, saved_results, table
from workloads.comparison.bounded import Bound
from workloads.comparison.paired import Scale
from workloads.verdict.judge import judge
from workloads.verdict.result import Result


@cache
def made(ms: float) -> tuple[Result, dict[str, str]]:
    """A run of `metrics` in which each call took so many ms, and its files by name."""
    with TemporaryDirectory() as path:
        folder = Folder(Path(path)).api_run(stage(), ms=ms).save()
        return judge(folder)[0], {one.name: one.read_text() for one in folder.iterdir()}


def metrics_run(path: Path, stack: str, ms: float) -> Path:
    """Save a run against a stack, without drawing its report, which is another test's subject."""
    found, texts = made(ms)
    own = plan(computes=False, processes=1, scenario="metrics", subject=stack)
    own = own.model_copy(update={"target": target(stack=stack)})
    first, _, others = texts["history.jsonl"].partition("\n")
    first = json.dumps(json.loads(first) | {"plan": own.model_dump(mode="json")})
    path.mkdir(parents=True)
    (path / "history.jsonl").write_text(f"{first}\n{others}")
    (path / "readback.jsonl").write_text(texts["readback.jsonl"])
    (path / "result.json").write_text(found.model_copy(update={"plan": own}).model_dump_json())
    (path / "report.html").write_text("a report")
    return path


def compared(tmp_path: Path, *blocks: dict[str, float], again: float | None = None) -> Path:
    """A comparison of stacks, each with its ms of a call, the first block's first one twice."""
    stacks = list(blocks[0])
    written: dict[str, Any] = {
        "schema_version": 1,
        "profile": "full",
        "baseline": stacks[0],
        "blocks": [stacks + stacks[:1] * (again is not None) for _ in blocks],
        "left_out": {"k8s": "no kubeconfig has its context"},
        "steps": [],
        "seed": 1,
        "started": "2026-01-02T03:04:05+00:00",
    }
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / layout.PLAN).write_text(json.dumps(written))
    with (tmp_path / layout.PROGRESS).open("w") as out:
        for number, block in enumerate(blocks):
            slots = [*block.items(), *([(stacks[0], again)] if again else [])]
            for position, (stack, ms) in enumerate(slots):
                name = f"{number}-{position}-{stack}"
                metrics_run(tmp_path / name / "metrics", stack, ms)
                line = {
                    "event": "ended",
                    "slot": name,
                    "block": number,
                    "stack": stack,
                    "folder": name,
                    "duplicate": position >= len(block),
                    "times": {"up_s": 10 + position, "noop_s": 3, "destroy_s": 4},
                    "runs": {
                        "metrics": {"status": 0, "said": None, "took_s": 1},
                        "capacity": {"status": 2, "said": "it would not start", "took_s": 1},
                    },
                    "error": None,
                }
                out.write(json.dumps(line) + "\n")
    return tmp_path


def row(found: table.Comparison, name: str) -> table.Row:
    return next(row for row in found.rows if row.quantity.name == name)


@pytest.fixture(scope="module")
def five_blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    blocks = [{"local": 20.0, "multi-az": 40.0 + n} for n in range(5)]
    return compared(tmp_path_factory.mktemp("compared"), *blocks, again=22.0)


def shown(folder: Path, name: str, stack: str) -> str:
    """A cell as the table prints it."""
    found = table.compare(saved_results.load([folder]))
    return console.shown(row(found, name).cells.get(stack), found.saved.blocks(stack))


def edit(folder: Path, run: str, **changes: Any) -> None:
    """Change top-level fields of a saved result."""
    path = folder / run / "metrics" / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_the_blocks_bear_is_claimed_and_the_rest_is_not(five_blocks: Path) -> None:
    found = table.compare(saved_results.load([five_blocks]))
    ratio = row(found, "p95").cells["multi-az"].contrast
    assert ratio
    assert ratio.value == pytest.approx(48 / 26, rel=0.01)  # p95 is 6 ms above the shortest
    assert ratio.spread == pytest.approx(28 / 26, rel=0.01)
    assert row(found, "p95").cells["multi-az"].distinct
    claims = "\n".join(found.claims)
    assert "multi-az is worse than local in metrics, 2 users, p95: 1.8" in claims
    assert "destroy" not in claims  # 4 s everywhere
    assert re.search(r"multi-az is not distinguishable from local in \d+ of \d+ figures", claims)
    assert shown(five_blocks, "p95", "multi-az") == "48 (1.85x)"
    assert shown(five_blocks, "deploy", "local") == "10"  # without the duplicate of 12
    assert shown(five_blocks, "deploy", "multi-az") == "11 (n.d.)"
    assert shown(five_blocks, "destroy", "multi-az") == "4 (=)"
    said = table.caution(found)
    assert "A/A" in said
    assert re.search(r"5 % for all \d+ comparisons together, by Holm", said)
    assert found.saved.missing == 0


def test_a_difference_that_one_of_many_comparisons_may_show_is_not_claimed(tmp_path: Path) -> None:
    """Its own interval excludes none, but one such among nine is no wonder."""
    blocks = [{"local": 20.0, "multi-az": ms} for ms in (23.0, 28.0, 33.0, 24.0, 32.0)]
    found = table.compare(saved_results.load([compared(tmp_path, *blocks, again=20.0)]))
    cell = row(found, "p95").cells["multi-az"]
    assert cell.contrast
    assert cell.contrast.beyond_noise
    assert 0.05 / found.tested < cell.contrast.p < 0.05
    assert not cell.distinct
    assert not any("p95" in claim for claim in found.claims)


def test_one_block_prints_plain_values_and_claims_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compared(tmp_path, {"local": 20, "multi-az": 80})
    found = table.compare(saved_results.load([folder]))
    assert found.claims == []
    assert found.tested == 0
    assert shown(folder, "p95", "multi-az") == "86"
    assert main(["compare", str(folder)]) == 0
    output = capsys.readouterr().out
    assert re.search(r"blocks +│ +n=1 │ +n=1 │", output)
    assert "n=1: each stack was deployed once" in output
    assert not re.search(r"\dx\)", output)
    assert "plot-ratios" not in (folder / "comparison.html").read_text()


def gate(**changes: Any) -> dict[str, Any]:
    """A gate of the run that did not pass."""
    known = {"name": "a gate", "limit": "1", "measured": "2", "passed": False, "remedy": "Do."}
    return known | changes


def test_a_figure_that_does_not_count_is_compared_with_nothing(tmp_path: Path) -> None:
    blocks = [{"local": 20.0, "multi-az": 40.0 + n} for n in range(3)]
    folder = compared(tmp_path, *blocks)
    edit(folder, "0-1-multi-az", gates=[gate()])
    assert shown(folder, "p95", "multi-az") == "47.5 (n.d.) n=2"
    for number in (1, 2):
        edit(folder, f"{number}-1-multi-az", gates=[gate()])
    assert shown(folder, "p95", "multi-az") == "47 *"


def test_a_late_generators_figures_are_bounds(tmp_path: Path) -> None:
    folder = compared(tmp_path, *({"local": 20.0, "multi-az": 40.0} for _ in range(3)))
    edit(folder, "0-1-multi-az", gates=[gate(one_sided=True)])
    assert shown(folder, "p95", "multi-az") == "≤46 (n.d.)"
    assert shown(folder, "calls", "multi-az").startswith("≥")
    contrast = row(table.compare(saved_results.load([folder])), "p95").cells["multi-az"].contrast
    assert contrast
    assert (contrast.bound, contrast.low) == (Bound.AT_MOST, 0)


def test_other_machines_are_said_and_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compared(tmp_path, *({"local": 20.0, "multi-az": 40.0} for _ in range(3)))
    for number in range(3):
        for position, (stack, cores) in enumerate((("local", 2), ("multi-az", 64))):
            name = f"{number}-{position}-{stack}"
            known = json.loads((folder / name / "metrics" / "result.json").read_text())["plan"]
            edit(folder, name, plan=known | {"environment": {"CPU": f"{cores} cores, X"}})
    assert shown(folder, "p95", "multi-az") == "46 †"
    assert shown(folder, "p95", "local") == "26"
    assert main(["compare", str(folder)]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "from different machines (local: 2 cores, X; multi-az: 64 cores, X)" in output


def test_a_run_that_never_recovered_is_at_least_what_was_watched(tmp_path: Path) -> None:
    """It must not vanish from the mean, nor a recovery of 0 s from the comparison."""
    folder = compared(tmp_path, *({"local": 20.0, "multi-az": 20.0} for _ in range(3)))
    for number, (once, other) in enumerate(((8, 0), (9, None), (8, None))):
        for name, recovered_s in ((f"{number}-0-local", once), (f"{number}-1-multi-az", other)):
            known = json.loads((folder / name / "metrics" / "result.json").read_text())["plan"]
            edit(
                folder,
                name,
                plan=known | {"scenario": "resilience"},
                resilience={
                    "baseline_rate": 20,
                    "baseline_p95_ms": 30,
                    "gates": [],
                    "faults": [fault(recovered_s=recovered_s, observed_s=60)],
                },
            )
    assert shown(folder, "service restored after", "local") == "8.33"
    assert shown(folder, "service restored after", "multi-az") == "≥40 (n.d.)"
    found = row(table.compare(saved_results.load([folder])), "service restored after")
    contrast = found.cells["multi-az"].contrast
    assert contrast
    assert (contrast.scale, contrast.bound) == (Scale.DIFFERENCE, Bound.AT_LEAST)
    assert contrast.value == pytest.approx(40 - 25 / 3)
    late = [gate(one_sided=True)]  # of what may be the generator's fault nothing is known
    for number in range(3):
        edit(folder, f"{number}-1-multi-az", gates=late)
    assert shown(folder, "service restored after", "multi-az") == "≤0 n=1"


def test_none_within_the_objectives_is_zero_users(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"local": 20.0})
    knee = {"users": 4, "rate": 60, "reached": False}
    known = json.loads((folder / "0-0-local/metrics/result.json").read_text())["plan"]
    capacity = {"knee": knee, "fit": None, "users_within_objectives": None}
    edit(folder, "0-0-local", plan=known | {"scenario": "capacity"}, capacity=capacity)
    assert shown(folder, "most users within the objectives", "local") == "0"
    assert shown(folder, "knee", "local") == "≥4"


def test_single_runs_are_set_side_by_side_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [metrics_run(tmp_path / name, name, ms) for name, ms in (("local", 20), ("far", 60))]
    page = tmp_path / "page.html"
    assert main(["compare", *map(str, runs), "--out", str(page)]) == 0
    output = capsys.readouterr().out
    assert "2 stacks side by side" in output
    assert re.search(r"p95 ms +│ +26 │ +66 │", output)
    assert 'href="far/report.html"' in page.read_text()


def test_runs_with_other_faults_are_other_steps_of_one_block(tmp_path: Path) -> None:
    runs = []
    for name in ("replica-kill", "zone-cut"):
        run = metrics_run(tmp_path / name, "local", 20)
        found = json.loads((run / "result.json").read_text())
        found["plan"] |= {"scenario": "resilience", "faults": [name]}
        (run / "result.json").write_text(json.dumps(found))
        runs.append(run)
    (one,) = saved_results.load(runs).deployments
    assert list(one.runs) == ["resilience replica-kill", "resilience zone-cut"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("compare", "Missing argument 'DIR…'"),
        ("compare /nonexistent", "/nonexistent: holds neither a comparison nor a run"),
        ("compare /nonexistent --users 0", "--users 0: give a number of users, as 40"),
    ],
)
def test_mistakes_are_one_line(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 2
    output = capsys.readouterr()
    assert said in output.err
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{\n", "line 1 is damaged"),
        ('{"event": "ended", "block": "x"}\n', "line 1 is damaged: block: "),
        ('{"event": "ended", "sl', "none of its deployments has ended yet"),
    ],
)
def test_a_damaged_comparison_is_one_line(tmp_path: Path, line: str, said: str) -> None:
    compared(tmp_path, {"local": 20})
    (tmp_path / layout.PROGRESS).write_text(line)
    with pytest.raises(CannotRunError, match=re.escape(said)):
        saved_results.load([tmp_path])
