"""Each stack from `up` to `destroy` with nothing unexpected, see `tests.e2e.lifecycle`."""

from pathlib import Path

import pytest

from scripts.stack import files
from tests.e2e import lifecycle

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("name", ["multi-az", "multi-az-nfs"])
def test_a_stack_is_as_it_was_said_to_be(name: str, tmp_path: Path) -> None:
    """`local` and `k8s`: in test_local and test_k8s; `multi-az` has all that `single-az` has."""
    lifecycle.live(name, tmp_path, print, lifecycle.CHANGES[name][:1], alone=False)


@pytest.mark.thorough
@pytest.mark.parametrize("name", lifecycle.CHANGES)
def test_every_change_of_a_stack_is_as_it_was_said_to_be(name: str, tmp_path: Path) -> None:
    lifecycle.live(name, tmp_path, print, lifecycle.CHANGES[name])


def test_each_preset_is_taken_through_its_life() -> None:
    assert set(lifecycle.CHANGES) == set(files.names())


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("Previewing\n\nResources:\n    27 unchanged\n", []),
        (
            "Diagnostics:\n  docker:index:Image (x):\n    set platform\n\n    and more\n"
            "Outputs:\n    a: 1\n",
            ["set platform", "and more"],
        ),
    ],
)
def test_messages_are_found(said: str, found: list[str]) -> None:
    assert lifecycle.messages(said) == found
