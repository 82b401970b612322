"""What a fault says of a script in a pod that failed."""

from typing import IO, Any

import pytest

from workloads.faults import on_pod
from workloads.faults.fault import FaultError
from workloads.faults.on_pod import EXEC_S, PodKill


@pytest.mark.parametrize(("error", "said"), [("", "1 0 root mlflow"), ("no such process", None)])
def test_a_script_in_a_pod(monkeypatch: pytest.MonkeyPatch, error: str, said: str | None) -> None:
    def execute(
        pods: Any, name: str, command: list[str], stdin: None, stdout: IO[bytes], timeout_s: float
    ) -> str:
        assert (name, command, timeout_s) == ("mlflow-1", ["bash", "-c", "list"], EXEC_S)
        stdout.write(b"1 0 root mlflow\n")
        return error

    monkeypatch.setattr(on_pod, "exec_in_pod", execute)
    fault = PodKill.__new__(PodKill)
    fault.pods, fault.name = None, "mlflow-1"  # type: ignore[assignment]
    if said is None:
        with pytest.raises(FaultError, match=r"^mlflow-1: no such process$"):
            fault.shell("list")
    else:
        assert fault.shell("list") == said
