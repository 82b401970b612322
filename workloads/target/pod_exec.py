"""Runs a command in a pod, with its input and output."""

import time
from math import inf
from typing import IO, Any

import yaml
from kubernetes.stream import stream

from workloads.target.pods import Pods

BLOCK = 1 << 18

_STATUS = 3
"""Channel of a stream that says how the command ended: `v4.channel.k8s.io`."""


def exec_in_pod(
    pods: Pods,
    pod: str,
    command: list[str],
    stdin: IO[bytes] | None,
    stdout: IO[bytes],
    timeout_s: float = inf,
) -> str:
    """Run a command to its end; returns its error in one line, empty if it succeeded.

    Raises what the Kubernetes client raises. The command does not see the end of its input.
    """
    deadline = time.monotonic() + timeout_s
    connection: Any = stream(
        pods.core.connect_get_namespaced_pod_exec,
        pod,
        pods.namespace,
        command=command,
        stdin=stdin is not None,
        stdout=True,
        stderr=True,
        tty=False,
        binary=True,
        _preload_content=False,
    )
    errors = b""
    while connection.is_open():
        if time.monotonic() > deadline:
            connection.close()
            return f"it did not end within {timeout_s:.0f} s"
        block = stdin.read(BLOCK) if stdin else b""
        if block:
            connection.write_stdin(block)
        connection.update(timeout=0 if block else 1)
        stdout.write(connection.read_stdout(timeout=0))
        errors += connection.read_stderr(timeout=0)
    stdout.write(connection.read_stdout(timeout=0))
    errors += connection.read_stderr(timeout=0)
    result = yaml.safe_load(connection.read_channel(_STATUS) or b"") or {}
    if result.get("status") == "Success":
        return ""
    first = errors.decode(errors="replace").strip().splitlines()[:1]
    return str((first or [result.get("message") or "the connection to it broke"])[0])
