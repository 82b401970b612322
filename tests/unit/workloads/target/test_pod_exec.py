"""A command in a pod: its output, its end, and one that does not end."""

import io
from types import SimpleNamespace
from typing import Any

import pytest

from workloads.target import pod_exec

SUCCESS = '{"status": "Success"}'


class Connection:
    """A stream of the cluster's API that gives one block of output, and ends if it has a status."""

    def __init__(self, status: str, stderr: bytes = b"", *, ends: bool = True) -> None:
        self.status, self.stderr, self.ends = status, stderr, ends
        self.blocks = [b"out"]
        self.closed = False

    def is_open(self) -> bool:
        return bool(self.blocks) or not (self.ends or self.closed)

    def update(self, timeout: float) -> None:
        pass

    def read_stdout(self, timeout: float) -> bytes:
        return self.blocks.pop() if self.blocks else b""

    def read_stderr(self, timeout: float) -> bytes:
        said, self.stderr = self.stderr, b""
        return said

    def read_channel(self, channel: int) -> str:
        assert channel == 3
        return self.status

    def close(self) -> None:
        self.closed = True


def run(monkeypatch: pytest.MonkeyPatch, connection: Connection, **options: Any) -> tuple[str, str]:
    """What it wrote, and its error."""
    monkeypatch.setattr(pod_exec, "stream", lambda *_, **__: connection)
    core = SimpleNamespace(connect_get_namespaced_pod_exec=None)
    pods: Any = SimpleNamespace(core=core, namespace="mlflow")
    output = io.BytesIO()
    error = pod_exec.exec_in_pod(pods, "pod", ["true"], None, output, **options)
    return output.getvalue().decode(), error


@pytest.mark.parametrize(
    ("status", "stderr", "error"),
    [
        (SUCCESS, b"a warning\n", ""),
        ('{"status": "Failure", "message": "exit code 2"}', b"no such file\nmore", "no such file"),
        ('{"status": "Failure", "message": "exit code 2"}', b"", "exit code 2"),
        ("", b"", "the connection to it broke"),
    ],
)
def test_how_a_command_ended(
    monkeypatch: pytest.MonkeyPatch, status: str, stderr: bytes, error: str
) -> None:
    assert run(monkeypatch, Connection(status, stderr)) == ("out", error)


def test_a_command_that_does_not_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection("", ends=False)
    assert run(monkeypatch, connection, timeout_s=0.01)[1] == "it did not end within 0 s"
    assert connection.closed
