"""A command in a pod, with its input and output."""

from typing import IO, Any

import yaml
from kubernetes.stream import stream

from workloads.pods import Pods

BLOCK = 1 << 18

_STATUS = 3
"""Channel of a stream that says how the command ended: `v4.channel.k8s.io`."""


def talk(
    pods: Pods, pod: str, command: list[str], stdin: IO[bytes] | None, stdout: IO[bytes]
) -> str:
    """Run a command to its end; return what it complained of, nothing if it succeeded.

    Raises what kubernetes' client raises. The command does not see where its input ends.
    """
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
    complaints = b""
    while connection.is_open():
        block = stdin.read(BLOCK) if stdin else b""
        if block:
            connection.write_stdin(block)
        connection.update(timeout=0 if block else 1)
        stdout.write(connection.read_stdout(timeout=0))
        complaints += connection.read_stderr(timeout=0)
    stdout.write(connection.read_stdout(timeout=0))
    complaints += connection.read_stderr(timeout=0)
    ended = yaml.safe_load(connection.read_channel(_STATUS) or b"") or {}
    if ended.get("status") == "Success":
        return ""
    first = complaints.decode(errors="replace").strip().splitlines()[:1]
    return str((first or [ended.get("message") or "the connection to it broke"])[0])
