"""PostgreSQL's memory settings: the arithmetic that keeps them within the memory it has.

What it can take at once fits into its memory:

    connections x CONNECTION + shared_buffers + connections x work_mem
        + (autovacuum's workers + 1) x maintenance_work_mem <= memory

A query can need `work_mem` several times, but of the 52 connections of a worker nine at most run
one at a time (`infra/components/capacity.py`). What is left idle serves as page cache.
"""

from dataclasses import dataclass

PORT = 5432

KIB, MIB, GIB = 2**10, 2**20, 2**30

CONNECTION = 5 * MIB // 2
"""Bytes of a connection's own process; measured at 2.1 MiB after it used MLflow's tables."""

SMALLEST_WORK_MEM = 128 * KIB
"""What is left of `memory_settings`' division with the fewest bytes; PostgreSQL takes 64 KiB."""

BASE = 320 * MIB
"""Bytes below which the caches would be smaller than PostgreSQL's defaults."""

MAINTENANCE_PROCESSES = 4
"""Autovacuum's three workers by default, and one index built by a migration."""

HASH_TABLES = 2 * (8 + 4)
"""Most `work_mem` that parallel hash joins share at once in /dev/shm: `hash_mem_multiplier` x
(`max_parallel_workers` + as many leaders as have two workers each), all at their defaults."""

DOCKER_SHARED_MEMORY = 64 * MIB
"""What Docker gives /dev/shm by itself."""


LOST_CLIENTS = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "5000",
}
"""How soon a client that is gone without a word is given up, and what it has locked is free again:
after 5 s (s, but the last, ms). By the kernel's own limits a lost machine would keep its locks for
two hours. One that is only slow answers these probes by its kernel, and is not given up."""


@dataclass(frozen=True)
class PostgresMemory:
    """Settings that fit together; sizes in bytes."""

    shared_buffers: int
    effective_cache_size: int
    work_mem: int
    maintenance_work_mem: int
    max_wal_size: int
    dev_shm: int
    """Size of the container's /dev/shm, where parallel queries share what they work on."""

    def options(self) -> dict[str, str]:
        """Return the server's settings by name, as PostgreSQL reads them."""
        names = (
            "shared_buffers",
            "effective_cache_size",
            "work_mem",
            "maintenance_work_mem",
            "max_wal_size",
        )
        unit = {"max_wal_size": MIB}
        return {
            name: f"{getattr(self, name) // unit.get(name, KIB)}{'MB' if name in unit else 'kB'}"
            for name in names
        }


def least_memory(connections: int) -> int:
    """Return the fewest bytes that PostgreSQL with that many connections is given."""
    return connections * (CONNECTION + 4 * SMALLEST_WORK_MEM) + BASE


def share(machine: int, connections: int) -> int:
    """Return the bytes of a machine with `machine` bytes that PostgreSQL plans with.

    A quarter, as replicas, the artifact store and other stacks live there too, in whole 256 MiB,
    so that a machine that reports some pages less after a restart changes nothing.

    Raises `ValueError`, with the arithmetic, where the connections alone need more than half.
    """
    least = least_memory(connections)
    if least > machine // 2:
        raise ValueError(
            f"PostgreSQL's {connections} connections need {least // MIB}m, more than half of the "
            f"machine's {machine // MIB}m"
        )
    return max(machine // 4 // (256 * MIB) * 256 * MIB, least)


def memory_settings(memory: int, connections: int) -> PostgresMemory:
    """Return the settings for `memory` bytes, which are at least `least_memory(connections)`.

    A quarter for `shared_buffers` is the manual's starting value (PostgreSQL 17, 19.4.1).
    """
    caches = memory - connections * CONNECTION
    shared_buffers = min(memory // 4, caches // 2, 8 * GIB)
    rest = caches - shared_buffers
    work_mem = min(rest // 2 // connections, 64 * MIB)
    return PostgresMemory(
        shared_buffers=shared_buffers,
        effective_cache_size=caches * 3 // 4,
        work_mem=work_mem,
        maintenance_work_mem=min(rest // 2 // MAINTENANCE_PROCESSES, GIB),
        # Not memory, but it grows with the load that memory stands for: fewer checkpoints, after
        # each of which every page is logged whole once.
        max_wal_size=min(max(memory, GIB), 4 * GIB),
        dev_shm=max(DOCKER_SHARED_MEMORY, -(-HASH_TABLES * work_mem // MIB) * MIB),
    )
