"""PostgreSQL's settings stay within its memory, from the smallest stack to the largest."""

import pytest

from infra.components.capacity import MOST_WORKERS, capacity
from infra.components.postgres import (
    CONNECTION,
    GIB,
    MIB,
    SMALLEST_WORK_MEM,
    least_memory,
    memory_settings,
    share,
)

SMALLEST = capacity(replicas=1, workers=1, jobs=False).max_connections
LARGEST = capacity(replicas=1, workers=MOST_WORKERS, jobs=True).max_connections

# memory, connections, what PostgreSQL is told
TABLE = [
    (
        GIB,
        SMALLEST,
        {
            "shared_buffers": "262144kB",
            "effective_cache_size": "648192kB",
            "work_mem": "4181kB",
            "maintenance_work_mem": "75264kB",
            "max_wal_size": "1024MB",
        },
    ),
    (
        6 * GIB,
        SMALLEST,
        {
            "shared_buffers": "1572864kB",
            "effective_cache_size": "4580352kB",
            "work_mem": "31488kB",
            "maintenance_work_mem": "566784kB",
            "max_wal_size": "4096MB",
        },
    ),
]


@pytest.mark.parametrize(("memory", "connections", "options"), TABLE)
def test_known_sizes(memory: int, connections: int, options: dict[str, str]) -> None:
    assert memory_settings(memory, connections).options() == options


@pytest.mark.parametrize("connections", [SMALLEST, 220, 820, LARGEST])
@pytest.mark.parametrize("extra", [0, 100 * MIB, GIB, 8 * GIB, 200 * GIB])
def test_what_it_can_take_at_once_fits(connections: int, extra: int) -> None:
    memory = least_memory(connections) + extra
    settings = memory_settings(memory, connections)
    taken = (
        connections * (CONNECTION + settings.work_mem)
        + settings.shared_buffers
        + (3 + 1) * settings.maintenance_work_mem
    )
    assert taken <= memory
    assert settings.work_mem >= SMALLEST_WORK_MEM
    assert settings.shared_buffers >= 128 * MIB, "PostgreSQL's default"
    assert settings.maintenance_work_mem >= 16 * MIB
    assert settings.shared_buffers < settings.effective_cache_size <= memory
    assert settings.dev_shm >= max(64 * MIB, 24 * settings.work_mem)
    assert settings.dev_shm % MIB == 0


@pytest.mark.parametrize(
    ("machine", "connections", "planned"),
    [
        (4 * GIB, SMALLEST, GIB),
        (24 * GIB - 400 * MIB, SMALLEST, 6 * GIB - 256 * MIB),
        (24 * GIB - 401 * MIB, SMALLEST, 6 * GIB - 256 * MIB),
        (4 * GIB, 420, least_memory(420)),
    ],
)
def test_a_machine_is_shared(machine: int, connections: int, planned: int) -> None:
    assert share(machine, connections) == planned


def test_a_machine_that_is_too_small_is_refused_with_the_sum() -> None:
    assert least_memory(2000) == 6320 * MIB
    with pytest.raises(ValueError, match=r"2000 connections need 6320m, more than half .* 8192m"):
        share(8 * GIB, 2000)
