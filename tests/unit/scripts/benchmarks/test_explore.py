"""The guided explorations: commands that the real parsers take, figures that were saved."""

import json
import shlex
import sys
from collections import Counter
from pathlib import Path

import pytest

from infra.specification.deployment import DeploymentSpec
from scripts.benchmarks import explore
from scripts.shared import project
from scripts.stack import files
from tests.unit import run_arguments
from workloads.faults.catalogue import FAULTS

WANTED = {"local": 3, "single-az": 3, "multi-az": 3, "multi-az-nfs": 4, "k8s": 3}


def stack_of(page: str) -> str:
    return max((stack for stack in WANTED if page.startswith(f"{stack}-")), key=len)


def test_every_stack_has_its_explorations() -> None:
    assert Counter(map(stack_of, explore.names())) == WANTED


def check_run(arguments: list[str]) -> None:
    options = run_arguments.check(arguments)
    assert set((options["fault"] or "").split(",")) <= {*FAULTS, ""}


def check_pulumi(verb: str, arguments: list[str]) -> None:
    if verb == "config":
        action, key = arguments[0], arguments[3]
        assert key in DeploymentSpec.model_fields
        assert len(arguments) == {"set": 5, "rm": 4}[action]
    else:
        assert verb in ("up", "destroy")
        assert arguments[0] == "--yes"


@pytest.mark.parametrize("page", explore.names())
def test_every_command_can_be_run_as_it_is_printed(page: str) -> None:
    lines = explore.commands(page)
    stack = stack_of(page)
    text = explore.text_of(page)
    assert "```sh\n. scripts/activate\n" in text
    for line in lines:
        match shlex.split(line):
            case ["python", "-m", "workloads", *arguments]:
                assert arguments[:3] == ["run", "--stack", stack]
                check_run(arguments)
            case ["python", "-m", "pip", "download", *arguments]:
                assert arguments[-1] == f"mlflow=={project.pin('mlflow')}"
            case ["pulumi", verb, *arguments]:
                at = arguments.index("-s")
                assert arguments[at + 1] == stack
                check_pulumi(verb, arguments)
            case ["scripts/offline/cluster", command]:
                assert (project.ROOT / "scripts/offline/cluster").exists()
                assert command in ("up", "down")
            case other:
                pytest.fail(f"nobody checks {other}")
    # What is made is removed, and what was set is as before.
    assert sum(line.startswith("pulumi destroy") for line in lines) == 1
    changed = {line.split()[5] for line in lines if line.startswith("pulumi config")}
    for key in changed:
        assert sum(f" {key}" in line for line in lines if "pulumi config" in line) == 2
    assert stack in files.names()


@pytest.mark.parametrize("page", explore.names())
def test_the_figures_are_those_that_were_saved(page: str) -> None:
    """Write them anew with `python -m scripts.benchmarks.explore --write`."""
    assert explore.text_of(page) == explore.written(page)


def test_the_first_run_of_a_draft_makes_it_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, drafts = tmp_path / "pages", tmp_path / "drafts"
    for folder in (pages, pages / "results", drafts):
        folder.mkdir()
    monkeypatch.setattr(explore, "PAGES", pages)
    monkeypatch.setattr(explore, "DRAFTS", drafts)
    text = f"# A question\n\n{explore.BEGIN}\n{explore.NOT_RUN}\n{explore.END}\n\nAn answer.\n"
    (drafts / "local-new.md").write_text(text)
    monkeypatch.setattr(sys, "argv", ["explore", "--write"])
    explore.main()
    assert explore.written("local-new") == text
    assert (drafts / "local-new.md").exists()  # nothing was seen yet
    explore.saved("local-new").write_text(json.dumps([reduced()]))
    explore.main()
    assert "verdict **good**" in (pages / "local-new.md").read_text()
    assert explore.names() == ["local-new"]
    assert list(drafts.iterdir()) == []


def test_other_figures_make_another_page() -> None:
    found = reduced()
    page = explore.figures([{"command": "pulumi up", "seconds": 20.4, "run": None}, found])
    for part in (
        "| `pulumi up` | 20 s |",
        "verdict **good**",
        "- Nothing lost.",
        "| 2 users | 51.0 | 20.0 | 31.0 | 0 of 500 | yes |",
    ):
        assert part in page, part
    found["run"]["stages"][0]["rate"] = 52.0
    assert page != explore.figures([found])


def test_faults_have_their_table_and_chart() -> None:
    found = reduced()
    known = {"recovered_s": None, "calls": 300, "failed": 1, "fault_error": None}
    known["succeeded_after_retry"] = 2
    found["run"]["faults"] = [
        known | {"fault": "zone-cut", "outage_s": 1.25},
        known | {"fault": "reset", "outage_s": 0.0, "fault_error": "no connection was reset"},
    ]
    page = explore.figures([found])
    assert "| zone-cut | 1.25 s | not seen | 1 of 300 | 2 |" in page
    assert "| reset | did not take: no connection was reset | | | |" in page
    assert 'x-axis ["zone-cut"]' in page


def test_traces_have_their_table_and_chart() -> None:
    found = reduced()
    [stage] = found["run"]["stages"]
    own = {"traces_per_s": 5.1, "spans_per_s": 39.2, "dropped_spans": 0}
    own |= {"metadata_p95_ms": 44.0, "cpu_ms_per_span": 5.81}
    found["run"]["stages"] = [stage | {"traces": own}, stage | {"name": "0/s", "traces": None}]
    page = explore.figures([found])
    assert "| 2 users | 5.1 | 39 | 0 | 31.0 | 44.0 | 5.8 | yes |" in page
    assert "| 0/s | | | | 31.0 | | | yes |" in page
    assert "bar [39.2, 0]" in page


def reduced() -> explore.Step:
    stage = {"name": "2 users", "count": 500, "errors": 0, "rate": 51.0, "valid": "yes"}
    return {
        "command": "python -m workloads run",
        "seconds": 30.0,
        "run": {
            "date": "2026-01-02",
            "machine": "2 cores",
            "verdict": "good",
            "reasons": ["Nothing lost."],
            "stages": [stage | {"p50_ms": 20.0, "p95_ms": 31.0}],
            "operations": [],
            "faults": [],
            "present": 10,
            "lost": 0,
            "duplicates": 0,
        },
    }
