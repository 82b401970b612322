"""Waiting for a container: until it runs, is healthy, or has ended."""

import time
from typing import Any

from docker.errors import APIError

from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call

LOG_LINES = 20


def until_running(call: Call, api: Any, container: str, seconds: float) -> None:
    """Wait for a moment's run. Raises RefusedError when the container ends at once."""
    end = time.monotonic() + seconds
    call.sleep(0.1)
    while True:
        state = api.inspect_container(container)["State"]
        if state["Running"] and not state["Restarting"]:
            return
        if state["Status"] == "exited" or time.monotonic() >= end:
            raise RefusedError(_ended(api, container, state))
        call.sleep(0.1)


def until_healthy(call: Call, api: Any, container: str, seconds: float) -> None:
    """Wait for the healthcheck's first success.

    Raises RefusedError with the last check's output and the end of the log when the container
    ends, is unhealthy, has no healthcheck, or is not healthy in time.
    """
    start = time.monotonic()
    while True:
        inspected = api.inspect_container(container)
        state = inspected["State"]
        health = state.get("Health")
        waited = time.monotonic() - start
        if health is None and state["Status"] == "running":
            raise RefusedError(
                "'wait' needs a healthcheck: neither the container nor its image has one"
            )
        if health is not None and health["Status"] == "healthy":
            return
        if state["Status"] in ("exited", "dead"):
            raise RefusedError(_ended(api, container, state))
        if health is not None and health["Status"] == "unhealthy":
            raise RefusedError(_unwell(api, container, health, f"unhealthy after {waited:.1f} s"))
        if waited >= seconds:
            raise RefusedError(
                _unwell(api, container, health, f"not healthy within {seconds:.0f} s")
            )
        call.status(f"waiting to be healthy ({waited:.0f} s)")
        call.sleep(0.1 if waited < 10 else 0.5)


def until_ended(call: Call, api: Any, container: str) -> int:
    """Wait for the end of the container's process and return its exit code."""
    start = time.monotonic()
    while True:
        state = api.inspect_container(container)["State"]
        if state["Status"] in ("exited", "dead"):
            return int(state["ExitCode"])
        call.status(f"running ({time.monotonic() - start:.0f} s)")
        call.sleep(0.1 if time.monotonic() - start < 10 else 0.5)


def output(api: Any, container: str, lines: int | str = "all") -> str:
    """What the container wrote, or the end of it."""
    written: bytes = api.logs(container, stdout=True, stderr=True, tail=lines)
    return written.decode(errors="replace")


def _ended(api: Any, container: str, state: dict[str, Any]) -> str:
    why = f"exited with code {state['ExitCode']}"
    if state.get("OOMKilled"):
        why += " (out of memory)"
    if state.get("Error"):
        why += f" ({state['Error']})"
    return f"the container {why}{_log_tail(api, container)}"


def _unwell(api: Any, container: str, health: dict[str, Any] | None, what: str) -> str:
    message = f"the container is {what}"
    if health and health.get("Log"):
        last = health["Log"][-1]
        message += f"; its last check exited with {last['ExitCode']}: {last['Output'].strip()}"
    return message + _log_tail(api, container)


def _log_tail(api: Any, container: str) -> str:
    try:
        lines = output(api, container, LOG_LINES).splitlines()
    except APIError:
        return "; its log driver keeps no log to read"
    if not lines:
        return "; it logged nothing"
    return "\nend of its log:\n" + "\n".join(f"  {line}" for line in lines)
