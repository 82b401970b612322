"""Which processes are the server's own."""

from types import SimpleNamespace

from tests.unit.workloads.builders import target
from workloads.target import server_processes


def test_children_count_and_health_checks_do_not() -> None:
    rows = [["100", "1"], ["101", "100"], ["102", "101"], ["200", "1"], ["201", "200"]]
    container = SimpleNamespace(
        attrs={"State": {"Pid": 100}},
        top=lambda: {
            "Titles": ["UID", "PID", "PPID", "CMD"],
            "Processes": [["mlflow", pid, parent, "python"] for pid, parent in rows],
        },
    )
    assert server_processes._descendants(container) == [100, 101, 102]  # type: ignore[arg-type]


def test_what_cannot_be_seen_is_none() -> None:
    assert server_processes.processes(target(components=())) is None
    assert server_processes.processes(target()) is None  # no such container
