"""An identity provider for the tests of a file."""

from collections.abc import Iterator

import pytest

from tests.unit.infra.images.identity_provider import IdentityProvider, identity_provider


@pytest.fixture(scope="module")
def running() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def idp(running: IdentityProvider) -> IdentityProvider:
    running.begin()
    return running
