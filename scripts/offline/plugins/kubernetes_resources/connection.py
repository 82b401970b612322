"""The cluster that this plugin talks to."""

import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.client.exceptions import ApiException
from kubernetes.config import ConfigException
from kubernetes.config.kube_config import ConfigNode, KubeConfigMerger
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import ResourceNotFoundError
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.schema import boolean, text

SETTINGS = {
    "kubeconfig": text(),
    "context": text(),
    "namespace": text(),
    "enableServerSideApply": boolean(),
}
FIELD_MANAGER = "pulumi-kubernetes"
# Longest wait for one answer, in seconds.
TIMEOUT = 30
Body = dict[str, Any]


class Connection:
    """A lazily opened client, shared by all operations."""

    def __init__(self) -> None:
        self._settings: Properties = {}
        self._lock = threading.Lock()
        self._client: Any = None
        self._namespace = ""
        self._where = "the current context"

    def configure(self, settings: Properties) -> None:
        """Take the provider's settings."""
        if settings.get("enableServerSideApply") is False:
            raise RefusedError("the bundled kubernetes plugin applies server-side only")
        self._settings = settings

    @property
    def namespace(self) -> str:
        """Where objects go that name no namespace."""
        self._open()
        return self._namespace

    def kind(self, body: Body) -> Any:
        """The cluster's description of an object's kind: its paths, and whether it is namespaced.

        Raises RefusedError when the cluster does not serve the kind.
        """
        client = self._open()
        try:
            return client.resources.get(api_version=body["apiVersion"], kind=body["kind"])
        except ResourceNotFoundError:
            raise RefusedError(
                f"the cluster ({self._where}) does not serve {body['apiVersion']} {body['kind']}"
            ) from None

    def place(self, body: Body) -> tuple[Any, str | None, str]:
        """An object's kind, its namespace (None where kinds have none) and its name."""
        kind, metadata = self.kind(body), body["metadata"]
        namespace = (metadata.get("namespace") or self.namespace) if kind.namespaced else None
        return kind, namespace, metadata["name"]

    def get(self, body: Body) -> Body | None:
        """The object as it is now, or None."""
        kind, namespace, name = self.place(body)
        try:
            return _plain(self._client.get(kind, name, namespace, _request_timeout=TIMEOUT))
        except ApiException as problem:
            if problem.status == 404:
                return None
            raise

    def find(
        self, api_version: str, kind: str, namespace: str, selector: str, *, fields: bool = False
    ) -> list[Body]:
        """The objects of a kind that a label selector (or a field selector) matches."""
        described = self.kind({"apiVersion": api_version, "kind": kind})
        options = {"field_selector" if fields else "label_selector": selector}
        found = self._client.get(
            described, namespace=namespace, _request_timeout=TIMEOUT, **options
        )
        items: list[Body] = _plain(found)["items"]
        return items

    def apply(self, body: Body, *, dry_run: bool = False) -> Body:
        """Apply server-side, taking over fields that another manager set."""
        kind, namespace, name = self.place(body)
        return _plain(
            self._client.server_side_apply(
                kind,
                body=body,
                name=name,
                namespace=namespace,
                field_manager=FIELD_MANAGER,
                force_conflicts=True,
                dry_run="All" if dry_run else None,
                _request_timeout=TIMEOUT,
            )
        )

    def delete(self, body: Body) -> bool:
        """Ask for an object's removal, after that of its dependents; False: it is gone already."""
        kind, namespace, name = self.place(body)
        try:
            self._client.delete(
                kind,
                name,
                namespace,
                body={"propagationPolicy": "Foreground"},
                _request_timeout=TIMEOUT,
            )
        except ApiException as problem:
            if problem.status == 404:
                return False
            raise
        return True

    def log_end(self, pod: Body, container: str, lines: int, *, previous: bool) -> str:
        """The last lines that a container of a pod wrote; empty where there are none."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
        query = [("container", container), ("tailLines", lines)]
        try:
            answer = self._open().request(
                "get",
                path,
                query_params=[*query, ("previous", "true")] if previous else query,
                header_params={"Accept": "*/*"},
                serialize=False,
                _request_timeout=TIMEOUT,
            )
        except ApiException:
            return ""
        return str(answer.data.decode(errors="replace")).strip()

    def _open(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        known = self._kubeconfig()
        name = self._settings.get("context") or known.get("current-context")
        contexts = {one["name"]: one["context"] for one in known.get("contexts") or []}
        if name not in contexts:
            there = ", ".join(sorted(contexts)) or "none"
            raise RefusedError(
                f"kubeconfig has no context {name!r}, there is: {there}"
                if name
                else f"kubeconfig names no current context: choose one of {there}"
            )
        configuration: Any = Configuration()
        try:
            config.load_kube_config_from_dict(
                known, context=name, client_configuration=configuration
            )
        except ConfigException as problem:
            raise RefusedError(f"kubeconfig: {str(problem).splitlines()[0]}") from None
        self._namespace = (
            self._settings.get("namespace") or contexts[name].get("namespace") or "default"
        )
        self._where = f"context {name} at {configuration.host}"
        # A cluster that is not there is told at once, not after three attempts.
        configuration.retries = Retry(total=2, connect=0, backoff_factor=0.2)
        # Discovery is kept for this process only: the next cluster at this address is another.
        with tempfile.TemporaryDirectory() as folder:
            return DynamicClient(ApiClient(configuration), cache_file=str(Path(folder, "kinds")))

    def _kubeconfig(self) -> Properties:
        """The kubeconfig, which is given as its content or as paths; else the usual files."""
        given = self._settings.get("kubeconfig") or os.environ.get("KUBECONFIG")
        given = given or str(Path("~/.kube/config").expanduser())
        try:
            if "\n" in given or given.lstrip().startswith("{"):
                known = yaml.safe_load(given)
            else:
                merged = KubeConfigMerger(given).config
                known = _unwrapped(merged)
        except (ConfigException, yaml.YAMLError, OSError) as problem:
            raise RefusedError(f"kubeconfig: {str(problem).splitlines()[0]}") from None
        if not isinstance(known, dict):
            raise RefusedError("there is no kubeconfig: set KUBECONFIG or kubernetes:kubeconfig")
        return known

    def explain(self, problem: Exception) -> str | None:
        """What an error of the client library means, or None for any other error."""
        if isinstance(problem, ApiException):
            return f"Kubernetes refused: {reason(problem)}"
        if isinstance(problem, HTTPError | OSError):
            return (
                f"Kubernetes ({self._where}) does not answer: {_root(problem)}; start the cluster, "
                "or choose another context"
            )
        return None


def _unwrapped(node: Any) -> Any:
    """A merged kubeconfig without the nodes that tell which file each part came from."""
    if isinstance(node, ConfigNode):
        return _unwrapped(node.value)
    if isinstance(node, dict):
        return {key: _unwrapped(one) for key, one in node.items()}
    if isinstance(node, list):
        return [_unwrapped(one) for one in node]
    return node


def reason(problem: Any) -> str:
    """The API server's own words for a refusal."""
    try:
        message = json.loads(problem.body)["message"]
    except (TypeError, ValueError, KeyError):
        message = f"{problem.status} {problem.reason}"
    return str(message)


def _root(problem: BaseException) -> str:
    cause = getattr(problem, "reason", None)
    if isinstance(cause, BaseException):
        return _root(cause)
    return str(problem).rpartition(": ")[2]


def _plain(answer: Any) -> Body:
    plain: Body = answer.to_dict()
    return plain
