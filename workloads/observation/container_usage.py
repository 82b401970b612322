"""CPU, memory and disk traffic of a stack's containers, from the Docker API."""

import threading
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import docker
import requests

from infra.outputs import Component

AGAIN_S = 1.0
"""Time until a container whose figures ended, as it stopped, is asked again."""

OLD_S = 3.0
"""Age from which on the last figures of a container are not its figures any more."""


class ContainerUsage:
    """Follows the containers of some components; raises `DockerException` if one is not there.

    The daemon gives figures once a second whoever asks, and a single look waits for the next: so
    a thread follows each container, and a look takes the last ones.
    """

    def __init__(self, components: Iterable[Component]) -> None:
        self._last: dict[str, tuple[float, dict[str, Any]]] = {}
        client = docker.from_env(timeout=5)
        for component in components:
            attributes = client.api.inspect_container(component.container)
            limits = _limits(attributes["HostConfig"])
            threading.Thread(
                target=self._follow,
                args=(component.name, attributes["Id"], limits),
                daemon=True,
            ).start()

    def look(self) -> dict[str, Any]:
        """Return what each has used since it started: CPU in s, memory and traffic in bytes.

        `at` is when its figures were taken, in s. A container that is not running has no entry.
        """
        now = time.monotonic()
        return {name: seen for name, (at, seen) in self._last.items() if now - at < OLD_S}

    def _follow(self, name: str, container: str, limits: tuple[float | None, int | None]) -> None:
        client = docker.from_env(timeout=10)
        while True:
            try:
                for stats in client.api.stats(container, stream=True, decode=True):
                    if stats.get("memory_stats", {}).get("usage") is not None:
                        self._last[name] = (time.monotonic(), _figures(stats, *limits))
            except (docker.errors.DockerException, requests.RequestException):
                pass
            time.sleep(AGAIN_S)


def _figures(
    stats: dict[str, Any], cpu_limit: float | None, memory_limit: int | None
) -> dict[str, Any]:
    return {
        # Nanoseconds are more than Python reads: cut to microseconds.
        "at": datetime.fromisoformat(stats["read"][:26].rstrip("Z") + "+00:00").timestamp(),
        "cpu_s": stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        "cpu_limit": cpu_limit,
        "memory": _memory(stats["memory_stats"]),
        "memory_limit": memory_limit,
        "read": _traffic(stats, "read"),
        "written": _traffic(stats, "write"),
    }


def _limits(host: dict[str, Any]) -> tuple[float | None, int | None]:
    """Cores and bytes that a container may use; None where it has no limit."""
    cores = None
    if host.get("NanoCpus"):
        cores = host["NanoCpus"] / 1e9
    elif host.get("CpuQuota", 0) > 0:
        cores = host["CpuQuota"] / (host.get("CpuPeriod") or 100_000)
    return cores, host.get("Memory") or None


def _memory(stats: dict[str, Any]) -> int:
    """Usage without file pages that can be dropped, as the `docker stats` command counts it."""
    detail = stats.get("stats", {})
    droppable = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    return int(max(0, stats["usage"] - droppable))


def _traffic(stats: dict[str, Any], what: str) -> int | None:
    """Bytes read or written; None where the kernel does not count them."""
    entries = stats.get("blkio_stats", {}).get("io_service_bytes_recursive")
    if not entries:
        return None
    return sum(int(entry["value"]) for entry in entries if entry["op"].lower() == what)
