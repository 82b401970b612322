"""The scenarios that deploy by themselves: what they try, and what they tell."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.commands.bench import workload
from scripts.commands.bench.scenarios import deploy, scale_out
from scripts.commands.bench.scenarios.scale_out import Variation
from scripts.shared.status import Status
from scripts.stack import files
from tests.serving import Handler, serving


@pytest.mark.parametrize(
    ("config", "profile", "names"),
    [
        ({"artifacts": "s3"}, "quick", ["1x1", "1x2", "2x1"]),
        ({"artifacts": "nfs"}, "full", ["1x1", "1x2", "1x4", "2x1", "2x2", "4x1"]),
        ({"artifacts": {"kind": "s3"}}, "quick", ["1x1", "1x2", "2x1"]),
        ({"artifacts": "volume"}, "full", ["1x1", "1x2", "1x4"]),
        ({"port": "5000"}, "quick", ["1x1", "1x2"]),
    ],
)
def test_a_volume_stays_with_one_replica(
    config: dict[str, Any], profile: str, names: list[str]
) -> None:
    assert [one.name for one in scale_out.variations(config, profile)] == names


def test_every_named_stack_has_variations() -> None:
    for stack in files.names():
        assert len(scale_out.variations(files.config(stack), "quick")) >= 2


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_the_load_has_the_profile_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    given: list[str] = []

    def run(stack: str, name: str, arguments: list[str], folder: Path) -> Status:
        given.extend(arguments)
        return Status.GOOD

    monkeypatch.setattr(workload, "run", run)
    scale_out._load("local", profile, tmp_path / "1x1")
    assert given[given.index("--profile") + 1] == profile


def test_a_line_says_what_was_not_seen(tmp_path: Path) -> None:
    calls = {"rate": 101.25, "rate_margin": 3.04, "p95_ms": 80.4}
    components = {
        "mlflow-a-1": {"memory_bytes": 300 * 2**20},
        "mlflow-b-1": {"memory_bytes": 100 * 2**20},
        "postgres": {"memory_bytes": 2**30},
    }
    observed = {"components": components, "cpu_ms_per_call": 12.34}
    result = {
        "stages": [{"calls": calls, "observed": observed}],
        "verdict": {"judgement": "good"},
    }
    (tmp_path / "result.json").write_text(json.dumps(result))
    seen = scale_out.figures(tmp_path, Variation(2, 1))
    result["stages"][0] |= {"calls": calls | {"rate_margin": None, "p95_ms": None}}  # type: ignore[index]
    result["stages"][0] |= {"observed": None}  # type: ignore[index]
    (tmp_path / "result.json").write_text(json.dumps(result))
    unseen = scale_out.figures(tmp_path, Variation(1, 4))
    header, first, second = scale_out.table([seen, unseen])
    assert header.split()[:2] == ["replicas", "workers"]
    assert first.split() == ["2", "1", "101.2", "±", "3.0", "80", "12.3", "400", "good"]
    assert second.split() == ["1", "4", "101.2", "-", "-", "-", "good"]


class _Replica(Handler):
    status = 200

    def do_POST(self) -> None:
        self.answer(self.status)


@pytest.fixture
def replica() -> Iterator[str]:
    with serving(_Replica) as address:
        yield address.removeprefix("http://")


def test_a_replica_that_does_not_answer_is_named(
    replica: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deploy.unready({"mlflow-a-1": replica}) == []
    monkeypatch.setattr(_Replica, "status", 503)
    [said] = deploy.unready({"mlflow-a-1": replica})
    assert said.startswith("mlflow-a-1 was not ready when up returned: HTTP Error 503")
    [said] = deploy.unready({"mlflow-b-1": "127.0.0.1:1"})
    assert said.startswith("mlflow-b-1 was not ready when up returned: ")


def test_times_are_given_with_their_median() -> None:
    rounds = [{"up_s": up, "noop_s": 3.0, "destroy_s": 4.0} for up in (20.0, 30.0, 22.0)]
    assert deploy.table(rounds)[0] == "up        median   22.0 s   (20.0  30.0  22.0)"
