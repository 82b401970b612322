"""Dynamic providers are found by what a state says, also by what older states say."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from infra.docker.guard import Sweeper
from infra.image.resource import Provider
from infra.kubernetes.forward import Forwarder
from infra.kubernetes.image import Loader
from infra.own_provider import OwnProvider
from infra.tls import CaWriter, Issuer

INFRA = Path(__file__).parents[3] / "infra"

CHECKOUT_FIRST = "__import__('sys').path.__setitem__(0, __import__('os').path.abspath('..'))"


def older(module: str, call: str) -> str:
    """Return what a state evaluates to load a provider, as commit 2ae6a17 wrote it."""
    return f"{CHECKOUT_FIRST} or __import__('{module}', fromlist=['_']).load({call})"


OLDER = "infra.kubernetes.own_provider"


@pytest.mark.parametrize(
    ("expression", "provider"),
    [
        (older("infra.docker.guard", ""), Sweeper),
        (older(OLDER, "'infra.docker.image_provider', 'Provider'"), Provider),
        (older(OLDER, "'infra.kubernetes.image', 'Loader'"), Loader),
        (older(OLDER, "'infra.kubernetes.forward', 'Forwarder'"), Forwarder),
        *((provider().__reduce__()[1][0], provider) for provider in (Sweeper, Provider, Issuer)),
    ],
)
def test_a_state_leads_to_the_provider(expression: str, provider: type[OwnProvider]) -> None:
    """In a process that starts as Pulumi's does: in infra/, without the checkout on its path."""
    program = f"print(type({expression}).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=INFRA, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == provider.__name__, done.stderr


@pytest.mark.parametrize("provider", [Sweeper, Provider, Loader, Forwarder, Issuer, CaWriter])
def test_a_state_has_the_place_of_a_provider_and_not_its_code(provider: type[OwnProvider]) -> None:
    assert len(pickle.dumps(provider())) < 500


def test_a_deployment_is_the_same_wherever_the_code_of_its_guard_is() -> None:
    former = {"deployment": "0a1b2c3d", "__provider": "elsewhere"}
    assert not Sweeper().diff("0a1b2c3d", former, {"deployment": "0a1b2c3d"}).changes
    assert Sweeper().diff("0a1b2c3d", former, {"deployment": "ffffffff"}).changes
