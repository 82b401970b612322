"""The Docker engine this plugin talks to."""

import os
import threading
from typing import Any

from docker import APIClient
from docker.context import ContextAPI
from docker.errors import APIError, DockerException
from docker.utils import kwargs_from_env
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.schema import text

SETTINGS = {"host": text(), "context": text()}
# Longest silence of the engine that is not taken for a hang, in seconds.
TIMEOUT = 120


class Connection:
    """A lazily opened client, shared by all operations."""

    def __init__(self) -> None:
        self._settings: Properties = {}
        self._lock = threading.Lock()
        self._api: APIClient | None = None
        self._host = "the default socket"

    def configure(self, settings: Properties) -> None:
        """Take the provider's settings (`docker:host`, `docker:context`)."""
        self._settings = settings

    @property
    def api(self) -> APIClient:
        """The low-level client. Raises the library's errors when the engine does not answer."""
        with self._lock:
            if self._api is None:
                self._api = self._open()
            return self._api

    def _open(self) -> APIClient:
        # The order of the docker CLI: a context by name, then a host, then the current context.
        name = self._settings.get("context") or os.environ.get("DOCKER_CONTEXT")
        host = self._settings.get("host") or os.environ.get("DOCKER_HOST")
        if name or not host:
            context = ContextAPI.get_context(name)
            if context is None:
                raise RefusedError(f"Docker has no context '{name}': see `docker context ls`")
            options: dict[str, Any] = {"base_url": context.Host, "tls": context.TLSConfig or False}
        else:
            options = dict(kwargs_from_env()) | {"base_url": host}
        self._host = str(options["base_url"] or self._host)
        ssh = self._host.startswith("ssh://")
        return APIClient(version="auto", timeout=TIMEOUT, use_ssh_client=ssh, **options)

    def explain(self, problem: Exception) -> str | None:
        """What an error of the client library means, or None for any other error."""
        if isinstance(problem, APIError):
            return f"Docker refused: {problem.explanation or problem}"
        if isinstance(problem, DockerException | RequestException | HTTPError):
            return (
                f"Docker at {self._host} does not answer ({problem}): "
                "start it, or set docker:host or DOCKER_HOST"
            )
        return None
