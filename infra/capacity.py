"""Workers, pools and connections: the arithmetic that keeps a server off the pool cliff.

MLflow's `log_batch` holds one database connection while it opens a second. A worker runs
up to `THREADS_PER_WORKER` requests at once, so a pool smaller than twice that can fill with
requests that all wait for their second connection: a stall, then HTTP 400 and lost writes.
"""

from dataclasses import dataclass

THREADS_PER_WORKER = 40
"""Requests that one uvicorn worker runs at once: AnyIO's default thread limit."""

REQUESTS_AT_ONCE = 8
"""API requests that a worker works on at once; others wait, within its threads, for their turn.

Measured on two cores, log-batch by 64 and 256 clients: 101 and 97 calls/s without a bound, 114 and
110 with 8, 110 and 108 with 16, 113 and 106 with 4 (docs/benchmarks.md). The pools are sized for
all threads all the same: not every route passes the bound."""

CONNECTIONS_PER_REQUEST = 2
"""Connections that one `log_batch` holds at its peak."""

STORES = 2
"""SQLAlchemy engines of a worker, each with a pool of its own: tracking and registry."""

RESERVED_CONNECTIONS = 20
"""Connections kept for the schema job, checks, backups and a person with psql."""

OVERFLOW = 20
"""Connections above the pool size that SQLAlchemy may open; 0 would be ignored by MLflow."""

MAX_CONNECTIONS_LIMIT = 2000
"""Beyond this, PostgreSQL's per-connection memory and snapshots cost more than they give."""


@dataclass(frozen=True)
class Capacity:
    """Sizes that fit each other; all are counts of connections."""

    pool_size: int
    max_overflow: int
    max_connections: int
    arithmetic: str
    """How `max_connections` comes about, for messages."""


def capacity(*, replicas: int, workers: int, jobs: bool) -> Capacity:
    """Return pool and connection limits for `replicas` servers of `workers` processes each.

    `jobs` adds the job store's engine, on the one replica that runs them.

    Raises `ValueError`, with the arithmetic, when PostgreSQL could not carry them.
    """
    pool = THREADS_PER_WORKER * CONNECTIONS_PER_REQUEST
    pools = replicas * workers * STORES + workers * jobs
    needed = pools * (pool + OVERFLOW) + RESERVED_CONNECTIONS
    arithmetic = (
        f"{replicas} replica(s) x {workers} worker(s) x {STORES} stores"
        f"{f' + {workers} job store(s)' if jobs else ''} = {pools} pools x "
        f"({pool} pooled + {OVERFLOW} overflow) + {RESERVED_CONNECTIONS} reserved = "
        f"{needed} connections"
    )
    if needed > MAX_CONNECTIONS_LIMIT:
        raise ValueError(
            f"{arithmetic}, more than PostgreSQL serves well ({MAX_CONNECTIONS_LIMIT})"
        )
    return Capacity(
        pool_size=pool, max_overflow=OVERFLOW, max_connections=needed, arithmetic=arithmetic
    )


def most_servers(workers: int) -> int:
    """Return for how many servers of `workers` processes `capacity` finds room, without jobs."""
    room = MAX_CONNECTIONS_LIMIT - RESERVED_CONNECTIONS
    each = workers * STORES * (THREADS_PER_WORKER * CONNECTIONS_PER_REQUEST + OVERFLOW)
    return room // each
