"""What holds for every test."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import kubernetes_cluster

HERE = Path(__file__).parent

# A shell that starts the tests in the background has them ignore Ctrl-C, and every command that
# they start with them; tests that interrupt one would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put real stacks first: runs in several processes take whole modules in this order."""
    order = (
        "e2e",
        "offline/plugins",
        "images",
        "offline/cluster",
        "defects",
        "integration",
        "unit",
    )

    def place(item: pytest.Item) -> int:
        path = item.path.relative_to(HERE).as_posix()
        return next(place for place, folder in enumerate(order) if path.startswith(f"{folder}/"))

    items.sort(key=place)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A real Kubernetes, by the context of the test cluster in KUBECONFIG."""
    with kubernetes_cluster.running():
        yield
