"""Objectives: from the scenario, the stack file and the command line, in this order."""

import pytest

from workloads import CannotRunError
from workloads.plan import limits
from workloads.plan.plan import Objectives
from workloads.scenarios import SCENARIOS

STACK = {
    "p95_ms": "500",
    "operations": {"GET artifact": {"p95_ms": 300, "p99_ms": 900}},
    "training": {"p95_ms": 800, "operations": {"curves": {"p95_ms": 4000}}},
}


def decided(scenario: str, *options: str, stack: object = STACK) -> Objectives:
    part = limits.of_stack(stack, "stack")
    return limits.decide(SCENARIOS[scenario], "quick", part, limits.of_options(options))


def test_a_stack_files_objectives_are_of_one_scenario_or_of_all() -> None:
    plain = SCENARIOS["training"].objectives["quick"]
    assert plain.p95_ms == 1000
    assert decided("training").p95_ms == 800
    assert decided("metrics").p95_ms == 500
    assert decided("metrics").min_rate == SCENARIOS["metrics"].objectives["quick"].min_rate
    assert "curves" not in decided("metrics").operations
    assert decided("metrics", stack={}).p95_ms == 1000


def test_the_old_form_is_still_one_of_all_scenarios() -> None:
    for name in SCENARIOS:
        found = decided(name, stack={"p95_ms": "250", "min_rate": "40"})
        assert (found.p95_ms, found.min_rate) == (250, 40)


def test_the_command_line_comes_last_and_field_by_field() -> None:
    found = decided("mixed", "GET artifact:p95_ms=200", "p95_ms=700", "upload 16 KiB:min_rate=0.5")
    assert found.p95_ms == 700
    artifact = found.operations["GET artifact"]
    assert (artifact.p95_ms, artifact.p99_ms) == (200, 900)
    assert found.operations["upload 16 KiB"].min_rate == 0.5


def test_options_repeat_what_was_decided() -> None:
    given = (
        "p95_ms=700",
        "retried_rate=0.5",
        "upload 16 KiB:min_rate=0.5",
        "GET artifact:p50_ms=9",
    )
    found = decided("mixed", *given, stack={})
    again = list(limits.options(found, SCENARIOS["mixed"].objectives["quick"]))
    assert set(given) <= set(again)
    assert decided("mixed", *again, stack={}) == found


def test_what_is_asked_of_this_very_run_has_to_occur() -> None:
    assert decided("training").operations["GET artifact"].min_count is None
    assert decided("training").operations["curves"].min_count == 1
    assert decided("training", "GET artifact:p95_ms=1").operations["GET artifact"].min_count == 1
    assert decided("mixed", "GET artifact:min_count=50").operations["GET artifact"].min_count == 50


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("GET artifact:p95_ms", "give it as 'GET artifact:p95_ms=200'"),
        ("GET artifact", "give it as 'GET artifact:p95_ms=200'"),
        ("GET artifact:p96_ms=2", "no objective 'operations.GET artifact.p96_ms': give any of p50"),
        ("p50_ms=2", "no objective 'p50_ms': give any of error_rate, p95_ms"),
        ("GET artifact:p95_ms=fast", "p95_ms: Input should be a valid number"),
        ("p95_ms=0", "p95_ms: Input should be greater than 0"),
        ("GET artifact:min_count=0", "min_count: Input should be greater than or equal to 1"),
    ],
)
def test_an_option_that_is_none_is_one_line(option: str, said: str) -> None:
    with pytest.raises(CannotRunError) as caught:
        limits.of_options([option])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scenario", "option", "said"),
    [
        ("mixed", "GET artefact:p95_ms=2", "no call has this name; near it are GET artifact"),
        ("mixed", "POST runs/logbatch:p95_ms=2", "near it are POST runs/log-batch"),
        (
            "mixed",
            "upload 16 KB:p95_ms=2",
            "no step of mixed, has this name; near it are upload 16",
        ),
        ("mixed", "upload 4 MiB:p95_ms=2", "no step of mixed, has this name"),
        ("metrics", "curves:p95_ms=2", "no step of metrics, has this name"),
        ("mixed", "GET artifact:min_mib_per_s=2", "min_mib_per_s is for steps that move files"),
        ("mixed", "all API calls:p95_ms=2", "has this name"),
    ],
)
def test_a_name_that_is_none_is_one_line(scenario: str, option: str, said: str) -> None:
    known = SCENARIOS[scenario]
    with pytest.raises(CannotRunError) as caught:
        limits.check(decided(scenario, option, stack={}), known, known.parameters_of("quick"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scenario", "option"),
    [
        ("training", "curves:p95_ms=2000"),
        ("training", "POST runs/log-batch:p95_ms=200"),
        ("training", "PATCH logged-models/{id}:p95_ms=200"),
        ("resilience", "GET model-versions/search:p95_ms=200"),
        ("artifacts", "download 4 MiB:min_mib_per_s=10"),
        ("artifacts", "PUT artifact past the server:p95_ms=200"),
        ("search", "search by all:p99_ms=200"),
    ],
)
def test_names_of_the_table_are_known(scenario: str, option: str) -> None:
    known = SCENARIOS[scenario]
    limits.check(decided(scenario, option, stack={}), known, known.parameters_of("quick"))


def test_a_stack_may_name_what_only_another_scenario_does() -> None:
    operations = {name: {"p95_ms": 5} for name in ("curves", "upload 3 MiB", "GET artifact")}
    known = SCENARIOS["metrics"]
    found = decided("metrics", stack={"operations": operations})
    limits.check(found, known, known.parameters_of("quick"))
    typo = decided("metrics", stack={"operations": {"curve": {"p95_ms": 5}}})
    with pytest.raises(CannotRunError, match="near it are curves"):
        limits.check(typo, known, known.parameters_of("quick"))
