"""How often a team makes and reads traces, and how many of them it may be told to."""

import pytest
from pydantic import ValidationError

from workloads.scenarios import SCENARIOS
from workloads.scenarios.traces import READ, TRACE, team_turns

TEAMS = ("mixed", "resilience")


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("others", [20, 21])
def test_traces_have_their_share_of_the_turns(share: float, others: int) -> None:
    sent, read = team_turns(share, others)
    assert (sent + read) / (sent + read + others) == pytest.approx(share, abs=0.02)
    assert sent >= read >= 1


def test_without_a_share_there_is_no_turn() -> None:
    assert team_turns(0, 20) == (0, 0)


@pytest.mark.parametrize("name", TEAMS)
def test_a_team_traces_only_where_it_is_told_to(name: str) -> None:
    scenario = SCENARIOS[name]
    for profile in ("quick", "full"):
        plain = scenario.parameters_of(profile)
        assert not {TRACE, READ} & set(scenario.steps(plain))
        traced = type(plain).model_validate(plain.model_dump() | {"traces": "0.5", "spans": "1,20"})
        assert traced.model_dump()["spans"] == (1, 20)
        assert {TRACE, READ} < set(scenario.steps(traced))


@pytest.mark.parametrize("name", TEAMS)
@pytest.mark.parametrize("wrong", [{"traces": 1}, {"traces": -0.1}, {"spans": "0"}, {"spans": ""}])
def test_what_a_team_cannot_do_is_refused(name: str, wrong: dict[str, object]) -> None:
    parameters = SCENARIOS[name].parameters_of("quick")
    with pytest.raises(ValidationError):
        type(parameters).model_validate(parameters.model_dump() | wrong)
