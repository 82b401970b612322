"""Joins the history of a pod and that of this machine, by the pod's monotonic clock.

Monotonic clocks of two machines differ by any time, so Unix clocks relate them; these have to be
synchronised (NTP), as those of a cluster's nodes are.
"""

from pathlib import Path

from workloads.history.history import Appender, lines
from workloads.observation.balancer import Span

TOLERANCE_S = 0.5


def merge(history: Path, outside: Path) -> None:
    """Append the lines of `outside` to a pod's history, at the pod's time."""
    first = next(lines(history))
    ahead_ns = first["mono_ns"] - first["wall_ns"]
    appender = Appender(history)
    for line in lines(outside):
        appender.append(line | {"mono_ns": line["wall_ns"] + ahead_ns})
    appender.close()


def load_spans(history: Path) -> list[Span]:
    """Return when the load of each stage was, in s of the Unix clock."""
    stages: list[Span] = []
    started = None
    for line in lines(history):
        if line["type"] == "phase":
            if started:
                stages.append(
                    (started["stage"]["name"], started["wall_ns"] / 1e9, line["wall_ns"] / 1e9)
                )
            started = line if line["phase"] == "load" else None
    return stages


def clock_difference_s(wall_ns: int, after_ns: int, before_ns: int) -> float:
    """Return the least difference in s of a clock that read `wall_ns` between two times here."""
    return max(0, wall_ns - before_ns, after_ns - wall_ns) / 1e9


def clock_warning(difference_s: float) -> str | None:
    """Return a warning if the clocks differ by too much."""
    if difference_s <= TOLERANCE_S:
        return None
    return (
        f"components were not looked at in the right seconds: the clocks of this machine and of "
        f"the load's node are {difference_s:.1f} s apart or more; synchronise them (NTP)"
    )
