"""How this machine reaches a cluster: by a named context of the person's kubeconfig."""

from typing import Any

from kubernetes import config
from kubernetes.client import Configuration
from kubernetes.client.rest import is_socks_proxy_url
from kubernetes.config import ConfigException

from infra.specification.cluster import TEST_CONTEXT
from infra.specification.error import SpecError


def configuration(context: str) -> Any:
    """Return the client's configuration for `context` of the files in KUBECONFIG.

    Raises `SpecError` when there is no such context, or it cannot be used.
    """
    result: Any = Configuration()
    try:
        config.load_kube_config(context=context, client_configuration=result)
    except (ConfigException, OSError, TypeError) as error:
        start = "; scripts/offline/cluster up starts it" if context == TEST_CONTEXT else ""
        reason = str(error).splitlines()[0]
        raise SpecError(f"kubernetes.context: {context!r}: {reason}{start}") from None
    if is_socks_proxy_url(result.proxy):
        raise SpecError(
            f"kubernetes.context: {context!r}: its proxy {result.proxy} speaks SOCKS, which is not "
            "served here; give one that speaks HTTP as proxy-url of the cluster in the kubeconfig"
        )
    return result
