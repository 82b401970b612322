"""Workers, pools and connections: the arithmetic that keeps a server off the pool cliff.

MLflow's `log_batch` holds one database connection while it opens a second, and up to two more for
the name of a run. A pool can fill with requests that all wait for their next connection: a stall,
then HTTP 400 and lost writes. So a worker lets no more than `REQUESTS_AT_ONCE` use the database
(`infra/images/mlflow/stores`), whatever their route, and its pools have room for all of those.
"""

from dataclasses import dataclass

THREADS_PER_WORKER = 40
"""Requests that one uvicorn worker runs at once: AnyIO's default thread limit."""

REQUESTS_AT_ONCE = 8
"""API requests that a worker works on at once; others wait, within its threads, for their turn.

Measured on two cores, log-batch by 64 and 256 clients: 101 and 97 calls/s without a bound, 114 and
110 with 8, 110 and 108 with 16, 113 and 106 with 4 (docs/benchmarks.md)."""

DATABASE_USERS = REQUESTS_AT_ONCE + 1
"""Who may hold connections of a worker at once: its event loop, too, which waits for no turn."""

CONNECTIONS_PER_REQUEST = 4
"""Connections that one request holds at its peak: a `log_batch` with the tag `mlflow.runName`."""

POOL = 2 * REQUESTS_AT_ONCE
"""Connections that a pool keeps open: what as many `log_batch` of the usual kind hold."""

OVERFLOW = DATABASE_USERS * CONNECTIONS_PER_REQUEST - POOL
"""Connections above the pool size that SQLAlchemy opens and closes again; never 0, which MLflow
would ignore."""

STORES = 2
"""SQLAlchemy engines of a worker, each with a pool of its own: tracking and registry."""

JOB_CONNECTIONS = 60
"""Connections of MLflow's job consumers: six processes with 42 threads in all, their runner and the
periodic tasks, each with one, and some to spare."""

RESERVED_CONNECTIONS = 20
"""Connections kept for the schema job, trace jobs, checks, backups and a person with psql."""

MOST_WORKERS = 64
"""Workers of all replicas of a stack together. PostgreSQL's memory for their connections is then
some 10 GiB."""


@dataclass(frozen=True)
class Capacity:
    """Sizes that fit each other; all are counts of connections."""

    pool_size: int
    max_overflow: int
    max_connections: int
    arithmetic: str
    """How `max_connections` comes about, for messages."""


def capacity(
    *, replicas: int, workers: int, jobs: bool, users: bool = False, workspaces: bool = False
) -> Capacity:
    """Return pool and connection limits for `replicas` servers of `workers` processes each.

    Those who use the database at once may hold connections of one store while the pool of another
    keeps its own open. `users` and `workspaces` add a store each, of which no request holds more
    than one.
    `jobs` adds, on the one replica that runs them, another store and the consumers.
    """
    stores = STORES + users + workspaces
    used, kept = DATABASE_USERS * CONNECTIONS_PER_REQUEST, (stores - 1) * POOL
    needed = replicas * workers * (used + kept) + RESERVED_CONNECTIONS
    also = ""
    if jobs:
        needed += workers * POOL + JOB_CONNECTIONS
        also = f" + {workers} x {POOL} + {JOB_CONNECTIONS} for jobs"
    arithmetic = (
        f"{replicas} replica(s) x {workers} worker(s) x ({used} in use + {kept} kept open)"
        f"{also} + {RESERVED_CONNECTIONS} reserved = {needed} connections"
    )
    return Capacity(
        pool_size=POOL, max_overflow=OVERFLOW, max_connections=needed, arithmetic=arithmetic
    )
