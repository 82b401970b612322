"""The generator's place before the system under test, where both share the processors.

A generator that waits for a processor measures its own wait. Its share is small and checked by
the gates, so it goes first where the system lets it: a lower nice value needs CAP_SYS_NICE.
"""

import os

NICE = -5
"""About three times the weight of an ordinary process in Linux's scheduler (`nice(7)`)."""


def raise_own() -> None:
    """Put this process before ordinary ones; where that is not allowed, leave it as it is."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    except PermissionError:
        return
