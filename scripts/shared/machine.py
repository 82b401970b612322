"""The machine that the set-up runs on: Debian's packages, and one at a time of what is made."""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scripts.shared import ui
from scripts.shared.project import CACHE, LOGS


def debian_root() -> bool:
    """Tell whether this is root on Debian or a relative of it: packages can be installed."""
    try:
        words = Path("/etc/os-release").read_text().replace('"', "").replace("=", " ").split()
    except OSError:
        return False
    return os.geteuid() == 0 and "debian" in words and shutil.which("apt-get") is not None


def apt_install(part: str, *packages: str) -> float:
    """Install Debian packages without their recommendations; return the seconds it took."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    # A package manager that runs on its own at boot holds the lock for a while.
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    names = " ".join(packages)
    with one_at_a_time(part, "apt"):  # There is no such patience with the lock of the lists.
        log = LOGS / "apt-update.log"
        took = ui.run(part, "apt-get update", [*apt, "update"], log=log, env=quiet)
        return took + ui.run(
            part,
            f"apt-get install {names}",
            [*apt, "install", "--no-install-recommends", *packages],
            log=LOGS / f"apt-{packages[0]}.log",
            env=quiet,
            grace_s=60.0,
        )


def output(
    argv: Sequence[str | Path],
    timeout: float = 10.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str | None:
    """Return what a command prints, stripped; None when it is absent, fails or hangs."""
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=None if env is None else {**os.environ, **env},
            cwd=cwd,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def program(pid: int, processes: Path = Path("/proc")) -> str | None:
    """Return the name of the program that a process runs; None for one that is dead.

    A killed process that nobody waited for keeps its number and its name, but is dead.
    """
    if processes.exists():
        try:
            status = (processes / str(pid) / "stat").read_text()
        except OSError:
            return None
        name, _, rest = status.partition("(")[2].rpartition(")")
        state = rest.split()[0]
    else:
        state, _, command = (output(["ps", "-o", "stat=,comm=", "-p", str(pid)]) or "Z").partition(
            " "
        )
        name = Path(command.strip()).name
    return None if state.startswith("Z") else name


@contextmanager
def one_at_a_time(part: str, thing: str | None = None) -> Iterator[Path]:
    """Keep two set-ups of one person, or two parts of one, from making the same thing at once.

    Args:
        part: which part of the set-up this is, and what it makes if `thing` does not say.
        thing: what several parts make, or use, by one name.

    Yields:
        an empty folder on the cache's file system, which is removed at the end; what an
        interrupted set-up left there is removed before.
    """
    thing = thing or part
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{thing}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            ui.say(part, f"waiting for {thing}: another part or set-up is at it")
            _wait_for(lock)
        scratch = CACHE / f"unfinished-{thing}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _wait_for(lock: IO[str]) -> None:
    """Take a lock that another one holds, as soon as it is free."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
            ui.raise_if_cancelled()
        else:
            return
