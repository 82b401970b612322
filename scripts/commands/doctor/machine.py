"""The machine: processors, memory, disk."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from scripts.commands.doctor.finding import Finding, good, wrong
from scripts.shared import machine
from scripts.shared.project import CACHE, ROOT

GIB = 2**30
LEAST_MEMORY = 2 * GIB
LEAST_DISK = 4 * GIB
CORES = 2


def check() -> Iterator[Finding]:
    """Look at processors, memory, and disk of the checkout, the cache and Docker."""
    yield cores(os.cpu_count() or 1)
    available = available_memory(Path("/proc/meminfo"))
    if available is not None:
        yield memory(available)
    root = machine.output(["docker", "info", "--format", "{{.DockerRootDir}}"]) or ""
    places = {"checkout": ROOT, "cache": CACHE.parent, "Docker": Path(root or "/nonexistent")}
    for name, path in places.items():
        if path.exists():
            yield disk(name, path, shutil.disk_usage(path).free)


def cores(number: int) -> Finding:
    """Judge the number of processors."""
    if number < CORES:
        return wrong(
            "machine",
            f"{number} processor",
            "servers, database and load generator share it, so that runs will be invalid",
            f"use a machine with at least {CORES}",
        )
    return good("machine", f"{number} processors")


def available_memory(path: Path) -> int | None:
    """Bytes that programs may still take, as Linux says; None elsewhere."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:")), None)


def memory(available: int) -> Finding:
    """Judge the memory that is left, in bytes."""
    seen = f"{available / GIB:.1f} GiB of memory available"
    if available < LEAST_MEMORY:
        return wrong(
            "machine",
            seen,
            "a stack of two replicas takes about 1.5 GiB, the load generator another",
            "end other programs, or remove stacks that are deployed: pulumi destroy -s STACK",
        )
    return good("machine", seen)


def disk(name: str, path: Path, free: int) -> Finding:
    """Judge the free bytes of a file system."""
    seen = f"{free / GIB:.1f} GiB free for {name} ({path})"
    if free < LEAST_DISK:
        remedy = "docker system df says what takes room" if name == "Docker" else "make room"
        return wrong("disk", seen, "images, volumes and results need some GiB", remedy)
    return good("disk", seen)
