"""How the program of a stack reaches its cluster."""

from typing import Any

from infra import kubeconfig
from infra.specification.cluster import TEST_CONTEXT
from infra.specification.error import SpecError


def configuration(context: str) -> Any:
    """Return the client's configuration for `context`; raises `SpecError` if it cannot be used."""
    try:
        return kubeconfig.configuration(context)
    except kubeconfig.KubeconfigError as error:
        start = "; scripts/offline/cluster up starts it" if context == TEST_CONTEXT else ""
        raise SpecError(f"kubernetes.context: {error}{start}") from None
