"""The history of a pod and what was seen outside, as one history by the pod's monotonic clock.

Monotonic clocks of two machines have nothing in common, so the Unix clocks join them: those have
to be synchronised (NTP), as the nodes of a cluster are.
"""

from pathlib import Path

from workloads.history import Appender, lines
from workloads.observation.balancer import Span

TOLERANCE_S = 0.5


def merge(history: Path, outside: Path) -> None:
    """Append the lines of `outside` to a pod's history, with the time that they had there."""
    first = next(lines(history))
    ahead_ns = first["mono_ns"] - first["wall_ns"]
    appender = Appender(history)
    for line in lines(outside):
        appender.append(line | {"mono_ns": line["wall_ns"] + ahead_ns})
    appender.close()


def spans(history: Path) -> list[Span]:
    """Return when the load of each stage was, in s of the Unix clock."""
    found: list[Span] = []
    begun = None
    for line in lines(history):
        if line["type"] == "phase":
            if begun:
                found.append(
                    (begun["stage"]["name"], begun["wall_ns"] / 1e9, line["wall_ns"] / 1e9)
                )
            begun = line if line["phase"] == "load" else None
    return found


def apart(wall_ns: int, after_ns: int, before_ns: int) -> float:
    """Return how many s, at least, a clock differs that said `wall_ns` between two times here."""
    return max(0, wall_ns - before_ns, after_ns - wall_ns) / 1e9


def complaint(apart_s: float) -> str | None:
    """Return a line about clocks that are too far apart."""
    if apart_s <= TOLERANCE_S:
        return None
    return (
        f"components were not looked at in the right seconds: the clocks of this machine and of "
        f"the load's node are {apart_s:.1f} s apart or more; synchronise them (NTP)"
    )
