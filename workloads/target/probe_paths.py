"""The paths through a stack that are probed; each can break without the others."""

from enum import StrEnum


class ProbePath(StrEnum):
    """An operation of users; the names are those of the figures."""

    READ = "read metadata"
    WRITE = "log metrics"
    PUT = "put artifact"
    GET = "get artifact"


RATES = {ProbePath.READ: 20, ProbePath.WRITE: 5, ProbePath.PUT: 5, ProbePath.GET: 5}
"""Probes per s. An outage is known to one interval between probes at each end: more probes are more
exact, and add to the load. Writes and files cost more than a read."""

DATABASE = (ProbePath.READ, ProbePath.WRITE)
FILES = (ProbePath.PUT, ProbePath.GET)

_BROKEN = {"postgres": DATABASE, "minio": FILES, "seaweedfs": FILES, "nfs": FILES}


def affected(component_kinds: tuple[str, ...]) -> tuple[ProbePath, ...]:
    """Return the paths that a fault of these kinds of components breaks.

    Metadata needs the database, files their store; all paths need everything else.
    """
    return next((_BROKEN[kind] for kind in component_kinds if kind in _BROKEN), tuple(ProbePath))
