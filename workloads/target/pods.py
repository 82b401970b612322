"""The pods of a stack on Kubernetes, by component."""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from kubernetes.client import ApiClient, CoreV1Api, VersionApi
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from infra.kubeconfig import KubeconfigError, configuration
from infra.labels import LABEL_COMPONENT
from infra.outputs import Component, Target

TIMEOUT_S = 10


class ClusterError(Exception):
    """The cluster did not do what was asked; the text is one line that says why.

    `absent`: it answered that there is no such object.
    """

    def __init__(self, message: str, *, absent: bool = False) -> None:
        super().__init__(message)
        self.absent = absent


class Pods:
    """Access to the cluster of a target; raises `ClusterError`."""

    def __init__(self, target: Target) -> None:
        assert target.cluster is not None
        self.namespace = target.cluster.namespace
        self._components = target.components
        try:
            access = configuration(target.cluster.context)
        except KubeconfigError as error:
            raise ClusterError(str(error)) from None
        access.retries = False
        self._core: Any = CoreV1Api(ApiClient(access))

    @property
    def core(self) -> Any:
        """The core API of the cluster, as kubernetes' client has it."""
        return self._core

    def version(self) -> str:
        """Return the release of Kubernetes, as `v1.36.3`."""
        with api_errors():
            code = VersionApi(self._core.api_client).get_code(_request_timeout=TIMEOUT_S)
        return str(code.git_version)

    def find(self) -> dict[str, Any]:
        """Return the ready pod of each component, as the API describes it."""
        with api_errors():
            pods = self._core.list_namespaced_pod(
                self.namespace, label_selector=LABEL_COMPONENT, _request_timeout=TIMEOUT_S
            )
        return matched(self._components, pods.items)

    def usage(self, node: str) -> str:
        """Return a kubelet's metrics of the containers on its node, in Prometheus' text format.

        It is the endpoint that the metrics API is made from; an account needs the right to `get`
        `nodes/proxy` (kubernetes.io/docs/reference/instrumentation/node-metrics).
        """
        with api_errors():
            answer = self._core.connect_get_node_proxy_with_path(
                node, "metrics/resource", _preload_content=False, _request_timeout=TIMEOUT_S
            )
        return str(answer.data.decode())

    def log(self, pod: str, seconds: int) -> Iterator[bytes]:
        """Yield the lines of a pod's log of the last seconds, each with its time before it."""
        with api_errors():
            answer = self._core.read_namespaced_pod_log(
                pod,
                self.namespace,
                since_seconds=seconds,
                timestamps=True,
                _preload_content=False,
            )
        yield from answer.data.splitlines()


def matched(components: Iterable[Component], pods: Iterable[Any]) -> dict[str, Any]:
    """Return the pod of each component: of those of one workload, the n-th by name."""
    ready = sorted((pod for pod in pods if _ready(pod)), key=lambda pod: pod.metadata.name)
    by_component = {}
    for component in components:
        workload = component.container.rpartition("/")[2]
        for pod in ready:
            if pod.metadata.labels[LABEL_COMPONENT] == workload:
                by_component[component.name] = pod
                ready.remove(pod)
                break
    return by_component


def _ready(pod: Any) -> bool:
    conditions = pod.status.conditions or []
    ready = any(
        condition.type == "Ready" and condition.status == "True" for condition in conditions
    )
    return ready and pod.metadata.deletion_timestamp is None


@contextlib.contextmanager
def api_errors() -> Iterator[None]:
    """Raise `ClusterError` for what kubernetes' client raises."""
    try:
        yield
    except ApiException as error:
        message = f"the cluster refuses: {error.status} {error.reason}"
        raise ClusterError(message, absent=error.status == 404) from None
    except (HTTPError, OSError) as error:
        raise ClusterError(f"the cluster does not answer: {type(error).__name__}") from None
