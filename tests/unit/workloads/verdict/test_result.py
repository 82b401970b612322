"""Results of older versions are read under their present names, or refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workloads.checkers.test_availability import Broken, result
from workloads import CannotRunError
from workloads.comparison import saved_results
from workloads.verdict import reference
from workloads.verdict import result as models
from workloads.verdict.judge import RESULT
from workloads.verdict.result import Bottleneck, Capacity, OperationOutcome, Result

ROOT = Path(__file__).resolve().parents[4]

OLD = Path(__file__).with_name("result_of_schema_3.json")
"""Written by commit 2ae6a17: a run with a fault of 2 s, as `Broken` makes it."""


def test_a_result_of_schema_3_is_read_as_if_it_were_written_now(tmp_path: Path) -> None:
    (tmp_path / RESULT).write_text(OLD.read_text())
    [deployment] = saved_results.load([tmp_path]).deployments
    [old] = deployment.runs.values()
    _, now = result(Broken(tmp_path / "now").make(down_s=2, outage_limit_s=3))
    assert old.schema_version == 4
    assert old.resilience == now
    assert old.stages[0].dropped_calls == 0
    assert old.stages[0].calls.response_time
    assert old.generator_ceiling == 2000


@pytest.mark.parametrize(
    ("model", "old", "name", "value"),
    [
        (Bottleneck, {"what": "the disk", "evidence": [], "remedy": ""}, "resource", "the disk"),
        (
            OperationOutcome,
            {"name": "GET", "what": "p95_ms", "asked": False, "limit": 1, "said": "slow"},
            "message",
            "slow",
        ),
        (
            Capacity,
            {
                "knee": {"users": 1, "rate": 2, "reached": False, "fewest": 1, "most": None},
                "fit": None,
                "users_within_objectives": 1,
                "least_rate": 2.0,
            },
            "rate_at_least",
            2.0,
        ),
    ],
)
def test_parts_that_a_run_with_faults_has_not(
    model: type[Result], old: dict[str, Any], name: str, value: object
) -> None:
    assert getattr(model.model_validate(old), name) == value


def test_every_renamed_key_is_one_of_the_model() -> None:
    for model, names in models.RENAMED.items():
        fields = getattr(models, model).model_fields
        assert set(names.values()) <= set(fields)
        assert not set(names) & set(fields)


def test_the_reference_page_is_current_and_has_every_key() -> None:
    page = (ROOT / "docs/result.md").read_text()
    assert page == reference.page() + "\n", "python -m workloads schema --page > it"
    schema = Result.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        assert all(f"| `{key}` |" in page for key in model.get("properties", {}))


def test_a_result_of_schema_2_is_refused_with_the_remedy(tmp_path: Path) -> None:
    old = json.loads(OLD.read_text()) | {"schema_version": 2}
    (tmp_path / RESULT).write_text(json.dumps(old))
    with pytest.raises(CannotRunError) as refused:
        saved_results.load([tmp_path])
    assert str(refused.value).count("\n") == 0
    assert str(refused.value).endswith(f"python -m workloads recheck --write {tmp_path}")


def test_limits_of_an_older_history_hold(tmp_path: Path) -> None:
    """Their names were other ones: without a translation each fault's own would be taken."""
    _, read = result(Broken(tmp_path).make(gap_s=7, failed_share=0.5, served_s=3))
    [fault] = read.faults
    limits = (fault.outage_limit_s, fault.error_rate_limit, fault.recovery_time_limit_s)
    assert limits == (7, 0.5, 3)
