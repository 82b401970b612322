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
    """Say which tests share what they start, for runs in several processes.

    Real stacks stay in one process and come first, as they take longest; other modules stay whole.
    """

    def folder(item: pytest.Item) -> str:
        return item.path.relative_to(HERE).parts[0]

    for item in items:
        shared = "e2e" if folder(item) == "e2e" else str(item.path)
        item.add_marker(pytest.mark.xdist_group(shared))
    order = ("e2e", "plugins", "images", "cluster", "unit")
    items.sort(key=lambda item: order.index(folder(item)))


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A real Kubernetes, by the context of the test cluster in KUBECONFIG."""
    with kubernetes_cluster.running():
        yield
