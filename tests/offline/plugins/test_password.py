"""Random strings."""

import string
from typing import Any

import pytest

from scripts.offline.plugins.protocol.schema import with_defaults
from scripts.offline.plugins.random_resources import password


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"length": 3, "minLower": 2, "minUpper": 2}, "'length' is below the sum of the minimums"),
        ({"length": 9, "special": False, "minSpecial": 1}, "'minSpecial' asks for characters"),
        (
            {"length": 9, "lower": False, "upper": False, "special": False, "numeric": False},
            "no class of characters is allowed",
        ),
        ({"length": 9, "number": True, "numeric": False}, "are one setting"),
    ],
)
def test_impossible(inputs: dict[str, Any], reason: str) -> None:
    (failure,) = password.check(inputs)
    assert reason in failure.reason


@pytest.mark.parametrize(
    ("inputs", "allowed"),
    [
        ({}, string.ascii_letters + string.digits + password.SPECIAL),
        ({"special": False}, string.ascii_letters + string.digits),
        ({"number": False, "special": False}, string.ascii_letters),
        ({"lower": False, "upper": False, "numeric": False, "overrideSpecial": "~"}, "~"),
    ],
)
def test_only_what_is_allowed(inputs: dict[str, Any], allowed: str) -> None:
    drawn = password.draw(with_defaults({"length": 500} | inputs, password.TABLE))
    assert len(drawn) == 500
    assert set(drawn) <= set(allowed)
    # 500 draws out of at most 83 characters miss a class with a chance below 1e-60.
    for characters in (string.ascii_lowercase, string.digits):
        assert bool(set(drawn) & set(characters)) == bool(set(allowed) & set(characters))


def test_minimums() -> None:
    asked = {"length": 10, "minLower": 2, "minUpper": 3, "minNumeric": 4, "minSpecial": 1}
    drawn = password.draw(with_defaults(asked, password.TABLE))
    assert sum(one.islower() for one in drawn) == 2
    assert sum(one.isupper() for one in drawn) == 3
    assert sum(one.isdigit() for one in drawn) == 4
