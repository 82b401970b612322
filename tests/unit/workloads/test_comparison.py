"""Ratios and claims, the recommendation, and the page of a comparison in headless Chromium."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workloads.builders import Folder, plan, stage, target
from tests.unit.workloads.test_report import Page, chromium, dump
from tests.unit.workloads.test_stages import climb, observe
from workloads.__main__ import main
from workloads.comparison import comparison, files, load, needs, ratios, recommend
from workloads.errors import CannotRunError
from workloads.judge import conclude, judge
from workloads.result import FaultFigures

__all__ = ["chromium"]  # a fixture


def by_block(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def test_a_ratio_is_paired_by_block() -> None:
    # Both get slower from block to block; within a block the second is always twice the first.
    found = ratios.ratio(by_block(1, 2, 4, 8, 16), by_block(2, 4, 8, 16, 32), 1.1)
    assert found
    assert found.value == pytest.approx(2)
    assert [found.low, found.high] == pytest.approx([2, 2])
    assert found.claimed


def test_the_interval_is_that_of_the_mean() -> None:
    found = ratios.ratio(by_block(1, 1, 1, 1, 1, 1), by_block(1.8, 2.2, 1.9, 2.1, 2, 2), 1.2)
    assert found
    assert found.low
    assert found.high
    assert 1.85 < found.low < found.value < found.high < 2.15


@pytest.mark.parametrize(
    ("other", "spread", "claimed"),
    [
        ((1.5, 1.6, 1.4, 1.5, 1.6), 1.2, True),
        ((0.5, 0.6, 0.5, 0.6, 0.5), 1.2, True),
        ((1.5, 1.6, 1.4, 1.5, 1.6), 1.48, False),  # within what the same stack differs by
        ((1.3, 0.8, 1.2, 0.9, 1.1), 1.01, False),  # the interval holds 1
        ((1.5, 1.6, 1.4, 1.5, 1.6), None, False),  # nothing was deployed twice
        ((1.5, 1.6, 1.4, 1.5), 1.2, False),  # too few blocks for an interval
    ],
)
def test_only_what_lies_beyond_the_noise_is_claimed(
    other: tuple[float, ...], spread: float | None, claimed: bool
) -> None:
    found = ratios.ratio(by_block(1, 1, 1, 1, 1), by_block(*other), spread)
    assert found
    assert found.claimed is claimed


def test_there_is_no_ratio_without_a_pair() -> None:
    assert ratios.ratio({0: 1.0}, {1: 1.0}, None) is None
    assert ratios.ratio({0: 0.0}, {0: 1.0}, None) is None


@pytest.mark.parametrize(
    ("twice", "spread"), [([], None), ([(2, 1), (1, 1.1)], 2.0), ([(1, 1)], 1.0), ([(0, 1)], None)]
)
def test_the_spread_is_the_largest_of_the_duplicates(
    twice: list[tuple[float, float]], spread: float | None
) -> None:
    assert ratios.spread(twice) == (pytest.approx(spread) if spread else None)


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
    found = needed("--users 40 --must-survive replica,zone --longest-gap 5")
    assert found == needs.Needs(40, None, (needs.Loss.REPLICA, needs.Loss.ZONE), 5.0)
    assert found.any
    assert not needed("").any


def metrics_run(path: Path, stack: str, ms: float, calls: int = 600) -> Path:
    """A run of `metrics` against a stack; each call took so many ms."""
    folder = Folder(path).api_run(stage(), calls=calls, ms=ms)
    made = plan(computes=False, processes=1, scenario="metrics", subject=stack)
    made = made.model_copy(update={"target": target(stack=stack)})
    folder.lines[0]["plan"] = made.model_dump(mode="json")
    folder.save()
    # Without drawing its report, which is another test's subject.
    (path / "result.json").write_text(judge(path)[0].model_dump_json())
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
    (tmp_path / files.PLAN).write_text(json.dumps(written))
    with (tmp_path / files.PROGRESS).open("w") as out:
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


def row(found: comparison.Comparison, name: str) -> comparison.Row:
    return next(row for row in found.rows if row.quantity.name == name)


@pytest.fixture(scope="module")
def five_blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    blocks = [{"local": 20.0, "multi-az": 40.0 + n} for n in range(5)]
    return compared(tmp_path_factory.mktemp("compared"), *blocks, again=22.0)


def test_what_the_blocks_bear_is_claimed_and_the_rest_is_not(five_blocks: Path) -> None:
    found = comparison.compare(load.load([five_blocks]))
    ratio = row(found, "p95").cells["multi-az"].ratio
    assert ratio
    assert ratio.value == pytest.approx(48 / 26, rel=0.01)  # p95 is 6 ms above the shortest
    assert ratio.spread == pytest.approx(28 / 26, rel=0.01)
    claims = "\n".join(found.claims)
    assert "multi-az is worse than local in metrics, 2 users, p95: 1.8" in claims
    assert "destroy" not in claims  # 4 s everywhere
    assert "A/A" in comparison.caution(found.saved)
    assert found.saved.missing == 0


def test_one_block_claims_nothing_and_says_so(tmp_path: Path) -> None:
    found = comparison.compare(load.load([compared(tmp_path, {"local": 20, "multi-az": 80})]))
    assert found.claims == []
    assert "no difference is claimed" in comparison.caution(found.saved)
    ratio = row(found, "p95").cells["multi-az"].ratio
    assert ratio
    assert ratio.value > 3


def test_a_figure_that_does_not_count_is_in_no_ratio(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"local": 20, "multi-az": 40})
    run = folder / "0-1-multi-az" / "metrics"
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    for line in lines:
        if line["type"] == "sample":
            line["cpu_s"] = 0.99  # the generator was the limit
    (run / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    conclude(run)
    cell = row(comparison.compare(load.load([folder])), "p95").cells["multi-az"]
    assert not cell.counts
    assert cell.ratio is None


def test_single_runs_are_set_side_by_side_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [metrics_run(tmp_path / name, name, ms) for name, ms in (("local", 20), ("far", 60))]
    page = tmp_path / "page.html"
    assert main(["compare", *map(str, runs), "--out", str(page)]) == 0
    output = capsys.readouterr().out
    assert "2 stacks side by side" in output
    assert re.search(r"p95 ms +│ +2\d\.?\d* +│ +6\d\.?\d* \(2\.\d\dx\) +│", output)
    assert 'href="far/report.html"' in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("compare", "the following arguments are required: DIR"),
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
    (tmp_path / files.PROGRESS).write_text(line)
    with pytest.raises(CannotRunError, match=re.escape(said)):
        load.load([tmp_path])


def advice(folder: Path, text: str) -> recommend.Recommendation:
    return recommend.recommend(load.load([folder]), needed(text))


def test_what_was_not_measured_is_not_recommended(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"local": 20, "multi-az": 30})
    found = advice(folder, "--users 40 --artifact-size 200MB")
    assert [answer.met for answer in found.candidates[0].answers] == [True, None, None]
    assert found.said == [
        "Nothing speaks against local, but not all of it was measured: no climb says how many it "
        "serves; measure it: python -m workloads run --stack local --scenario capacity; no "
        "artifacts of that size were tried; measure it: python -m workloads run --stack local "
        "--scenario artifacts --set sizes_kib=195313."
    ]


def climbed(path: Path, users: int) -> recommend.Recommendation:
    folder = climb(path)
    for number in range(6):
        observe(folder, number, busy=1.9)
    folder.save()
    conclude(path)
    return advice(path, f"--users {users}")


@pytest.mark.parametrize(("users", "met"), [(8, True), (10_000, False)])
def test_a_climb_says_how_many_users_are_served(tmp_path: Path, users: int, met: bool) -> None:
    found = climbed(tmp_path, users)
    assert found.candidates[0].answers[1].met is met
    assert ("Take local" in found.said[0]) is met
    assert any("no multi-AZ" in limit for limit in found.limits)


def test_what_could_not_be_tried_is_last(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"local": 20, "multi-az": 30})
    first, second = map(json.loads, (folder / files.PROGRESS).read_text().splitlines())
    first |= {"runs": {}, "error": "pulumi up failed"}
    (folder / files.PROGRESS).write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n")
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


@pytest.fixture(scope="module")
def page(five_blocks: Path) -> Path:
    assert main(["compare", str(five_blocks), "--users", "2", "--must-survive", "zone"]) == 0
    return five_blocks / "comparison.html"


def test_the_page_is_drawn_whole_and_quiet(chromium: str, page: Path, tmp_path: Path) -> None:
    source, log = dump(chromium, tmp_path, page.as_uri())
    assert "CONSOLE" not in log
    drawn = Page(source)
    plots = drawn.all("div", role="img")
    assert [p["id"] for p in plots] == ["plot-deployment", "plot-load-0", "plot-ratios"]
    assert all("js-plotly-plot" in (p["class"] or "") for p in plots)
    assert all(len(p["aria-label"] or "") > 60 for p in plots)
    assert all(th.get("scope") in ("col", "row") for th in drawn.all("th"))
    assert all(e.get("tabindex") == "0" for e in drawn.all("div", class_="scroll"))
    ids = {attributes.get("id") for _, attributes in drawn.elements}
    for _, attributes in drawn.elements:
        for reference in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(reference) in {*ids, None}
    for link in drawn.all("a"):
        address = link["href"] or ""
        assert address.startswith("#") or (page.parent / address).exists()
    text = re.sub(r"\s+", " ", drawn.text)
    for part in (
        "2 stacks side by side",
        "survives the loss of a zone",
        "k8s was left out: no kubeconfig has its context",
        "capacity: it would not start",
        "no multi-AZ",
        "multi-az is worse than local in metrics, 2 users, p95",
    ):
        assert part in text, part


def test_the_page_fits_a_narrow_screen(chromium: str, page: Path, tmp_path: Path) -> None:
    measure = "<script>document.title = `${document.documentElement.scrollWidth}`</script></body>"
    narrow = tmp_path / "page.html"
    narrow.write_text(page.read_text().replace("</body>", measure))
    source, _ = dump(chromium, tmp_path / "profile", narrow.as_uri(), "--window-size=500,900")
    title = re.search("<title>(.*?)</title>", source)
    assert title
    assert int(title[1]) <= 500


def broken(run: Path, gap_s: float, recovery_s: float | None, *, counts: bool = True) -> None:
    """Make a saved run one in which a replica was killed."""
    found = json.loads((run / "result.json").read_text())
    fault = FaultFigures(
        fault="replica-kill",
        component="mlflow-b-1",
        begin_s=8,
        in_effect_s=0.1,
        healed_s=4,
        watched_s=16,
        recovery_s=recovery_s,
        served_s=None,
        served_limit_s=10,
        gap_s=gap_s,
        gap_limit_s=None,
        longest_probe_s=1,
        failed_probes=3,
        calls=300,
        failed=0,
        failed_share_limit=0.1,
        mended=2,
        saw={},
    )
    found["plan"]["scenario"] = "resilience"
    on_time = {"name": "probe on time", "limit": "", "measured": "", "remedy": ""}
    known = {"baseline_rate": 20, "baseline_p95_ms": 30, "gates": [on_time | {"passed": counts}]}
    found["resilience"] = known | {"faults": [fault.model_dump()]}
    (run / "result.json").write_text(json.dumps(found))


@pytest.mark.parametrize(
    ("gap_s", "recovery_s", "needed_gap", "met", "why"),
    [
        (0.8, 1.2, 10, True, "replica-kill: no answer for up to 0.8 s, 0 of 300 calls failed"),
        (12, 14, 10, False, "no answer for up to 12.0 s, more than 10 s"),
        (12, 14, 20, True, "no answer for up to 12.0 s"),
        (0.8, None, 10, False, "replica-kill: within 16 s it was not as before"),
    ],
)
def test_a_fault_says_what_is_survived(
    tmp_path: Path, gap_s: float, recovery_s: float | None, needed_gap: int, met: bool, why: str
) -> None:
    folder = compared(tmp_path, {"local": 20, "multi-az": 30})
    broken(folder / "0-1-multi-az" / "metrics", gap_s, recovery_s)
    found = advice(folder, f"--must-survive replica --longest-gap {needed_gap}")
    answers = {one.stack: one.answers[1] for one in found.candidates}
    assert answers["multi-az"].met is met
    assert why in answers["multi-az"].reason
    assert answers["local"].met is None
    assert "--scenario resilience --fault replica-kill" in answers["local"].reason
    figures = row(comparison.compare(load.load([folder])), "longest time without an answer")
    assert figures.quantity.part == "fault replica-kill"
    assert figures.cells["multi-az"].value == gap_s


def test_a_fault_of_a_run_that_does_not_count_answers_nothing(tmp_path: Path) -> None:
    folder = compared(tmp_path, {"local": 20})
    broken(folder / "0-0-local" / "metrics", 0.5, 1.0, counts=False)
    answer = advice(folder, "--must-survive replica").candidates[0].answers[1]
    assert (answer.met, answer.reason) == (None, "replica-kill: the run does not count")
    found = row(comparison.compare(load.load([folder])), "longest time without an answer")
    assert not found.cells["local"].counts


def test_one_zone_does_not_survive_its_loss(tmp_path: Path) -> None:
    found = advice(compared(tmp_path, {"local": 20}), "--must-survive zone,balancer")
    zone, balancer = found.candidates[0].answers[1:]
    assert (zone.met, zone.reason) == (False, "it has one zone")
    assert balancer.met is None
    assert found.said == [
        "None of these stacks meets every need. Nearest is local: it has one zone."
    ]
