"""The machine that the set-up runs on: Debian's packages, and one set-up at a time."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.prepare import ui
from scripts.prepare.pins import CACHE, LOGS


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
    took = ui.run(part, "apt-get update", [*apt, "update"], log=LOGS / "apt-update.log", env=quiet)
    return took + ui.run(
        part,
        f"apt-get install {names}",
        [*apt, "install", "--no-install-recommends", *packages],
        log=LOGS / f"apt-{packages[0]}.log",
        env=quiet,
        patience=60.0,
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
def one_at_a_time(part: str) -> Iterator[Path]:
    """Keep two set-ups of one person from making the same thing at once.

    Yields:
        an empty folder on the cache's file system, which is removed at the end; what an
        interrupted set-up left there is removed before.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            ui.say(part, "waiting for another set-up of this machine to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        scratch = CACHE / "unfinished"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
