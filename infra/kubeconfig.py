"""How this machine reaches a cluster: by a named context of the person's kubeconfig."""

from typing import Any

from kubernetes import config
from kubernetes.client import Configuration
from kubernetes.client.rest import is_socks_proxy_url
from kubernetes.config import ConfigException


class KubeconfigError(ValueError):
    """The context cannot be used; the message is one line that names it."""


def configuration(context: str) -> Any:
    """Return the client's configuration for `context` of the files in KUBECONFIG.

    Raises `KubeconfigError` when there is no such context, or it cannot be used.
    """
    result: Any = Configuration()
    try:
        config.load_kube_config(context=context, client_configuration=result)
    except (ConfigException, OSError, TypeError) as error:
        raise KubeconfigError(f"{context!r}: {str(error).splitlines()[0]}") from None
    if is_socks_proxy_url(result.proxy):
        raise KubeconfigError(
            f"{context!r}: its proxy {result.proxy} speaks SOCKS, which is not served here; give "
            "one that speaks HTTP as proxy-url of the cluster in the kubeconfig"
        )
    return result
