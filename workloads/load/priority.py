"""The priority of the load generator where it shares processors with the system under test.

A generator that waits for a processor measures its own wait. Its CPU share is small and checked
by gates, so it goes first where that is allowed: a lower nice value needs CAP_SYS_NICE.
"""

import os
from contextlib import suppress

NICE = -5
"""About three times the weight of an ordinary process in Linux's scheduler (`nice(7)`)."""


def raise_priority() -> None:
    """Lower the nice value of this thread, where that is allowed."""
    if os.getpriority(os.PRIO_PROCESS, 0) <= NICE:
        return
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)


def reachable_nice() -> int:
    """Return the nice value that this thread has with `raise_priority`, and leave it as it is."""
    usual = os.getpriority(os.PRIO_PROCESS, 0)
    raise_priority()
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, usual)
    return nice


class PriorityWhileCalling:
    """Raises the priority of this thread while a call of it is under way.

    For users that compute between calls: computing must neither take processors from the system
    under test nor delay the measurement of a call.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._usual = os.getpriority(os.PRIO_PROCESS, 0)

    def __enter__(self) -> None:
        self._calls += 1
        if self._calls == 1:
            raise_priority()

    def __exit__(self, *_: object) -> None:
        self._calls -= 1
        if not self._calls:
            os.setpriority(os.PRIO_PROCESS, 0, self._usual)
