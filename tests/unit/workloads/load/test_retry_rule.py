"""The emulation of mlflow 3.18's rule: which requests it narrows, and to what."""

import pytest
from urllib3.util import Retry

from workloads.load.retry_rule import CreateRetry, rule_of

OWN = Retry(total=7, status_forcelist={408, 429, 500, 502, 503, 504}, allowed_methods=None)
API = "/api/2.0/mlflow"


@pytest.mark.parametrize(
    "path",
    [
        "runs/create",
        "experiments/create",
        "logged-models",
        "registered-models/create",
        "model-versions/create",
        "experiments/delete",
        "datasets/create",
    ],
)
def test_creates_are_sent_again_only_where_nothing_was_done(path: str) -> None:
    rule = rule_of("POST", f"{API}/{path}", OWN)
    assert isinstance(rule, CreateRetry)
    assert rule.is_retry("POST", 429)
    assert not any(rule.is_retry("POST", status, True) for status in (413, 500, 502, 503, 504))
    assert (rule.read, rule.connect, rule.total) == (False, OWN.connect, 7)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{API}/runs/search"),
        ("POST", f"{API}/runs/log-batch"),
        ("POST", f"{API}/runs/set-tag"),
        ("POST", f"{API}/runs/update"),
        ("POST", "/api/3.0/mlflow/traces"),
        ("POST", "/api/3.0/mlflow/traces/search?x=1"),
        ("POST", "/v1/traces"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/a"),
        ("PATCH", f"{API}/registered-models/update"),
        ("GET", f"{API}/runs/get"),
        ("POST", "/elsewhere"),
    ],
)
def test_others_stay_as_they_are(method: str, path: str) -> None:
    assert rule_of(method, path, OWN) is OWN


def test_a_second_try_keeps_what_was_decided_at_the_first() -> None:
    rule = rule_of("POST", f"{API}/runs/create", OWN)
    assert rule_of("POST", f"{API}/runs/create", rule) is rule
