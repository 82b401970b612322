"""The generator's place before the system under test, where both share the processors.

A generator that waits for a processor measures its own wait. Its share is small and checked by
the gates, so it goes first where the system lets it: a lower nice value needs CAP_SYS_NICE.
"""

import os
from contextlib import suppress
from types import TracebackType

NICE = -5
"""About three times the weight of an ordinary process in Linux's scheduler (`nice(7)`)."""


def raise_own() -> None:
    """Put this thread before ordinary ones; where that is not allowed, leave it as it is."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)


class WhileCalling:
    """Puts this thread before ordinary ones while a call of it is under way, and back after.

    For users that compute between calls: what they compute must not take the processors from the
    system under test, and nobody's computing must delay the measurement of a call.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._usual = os.getpriority(os.PRIO_PROCESS, 0)

    def __enter__(self) -> None:
        self._calls += 1
        if self._calls == 1:
            raise_own()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._calls -= 1
        if not self._calls:
            os.setpriority(os.PRIO_PROCESS, 0, self._usual)
