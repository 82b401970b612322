"""The processes inside a container or pod, listed and signalled with bash alone.

A signal from inside reaches every process but the first one, which the kernel shields in its own
namespace. Killed from there, a container ends as it does after a crash: `docker kill` would be a
person's stop, after which no restart policy starts it again.
"""

from dataclasses import dataclass

LIST = """
for folder in /proc/[0-9]*; do
  status=
  { read -r -d '' status <"$folder/status"; } 2>/dev/null
  [[ $status =~ PPid:[[:space:]]+([0-9]+) ]] || continue
  parent=${BASH_REMATCH[1]}
  [[ $status =~ Uid:[[:space:]]+([0-9]+) ]] || continue
  user=${BASH_REMATCH[1]}
  { command=$(tr '\\0\\n' '  ' <"$folder/cmdline"); } 2>/dev/null || continue
  echo "${folder#/proc/} $parent $user $command"
done
"""
"""Prints number, parent, user id and command line of each process (proc(5)).

Nothing is printed of one that ends in between.
"""


@dataclass(frozen=True)
class Process:
    """A process by its number in the container; `user` is its uid."""

    pid: int
    parent: int
    user: str
    command: str


def parse(listed: str) -> list[Process]:
    """Read what `LIST` printed."""
    processes = []
    for line in listed.splitlines():
        pid, parent, user, *command = line.split(maxsplit=3)
        processes.append(Process(int(pid), int(parent), user, "".join(command).strip()))
    return processes


def own(processes: list[Process]) -> list[Process]:
    """The first process and its descendants, without what others started beside it: checks."""
    kept = {1}
    while new := {p.pid for p in processes if p.parent in kept} - kept:
        kept |= new
    return [process for process in processes if process.pid in kept]


def main_process(processes: list[Process]) -> Process:
    """The process whose end is the container's end: the child of the init, or the first itself.

    Raises `LookupError` if there is none.
    """
    first = next((process for process in processes if process.pid == 1), None)
    if first is None:
        raise LookupError("no process is running")
    is_init = "docker-init" in first.command or "tini" in first.command
    if not is_init:
        return first
    child = next((process for process in processes if process.parent == 1), None)
    if child is None:
        raise LookupError("nothing runs below the init")
    return child


def worker_process(processes: list[Process]) -> Process:
    """The youngest process that serves requests: one without children, and no helper of Python's.

    Raises `LookupError` if there is none.
    """
    inside = own(processes)
    parents = {process.parent for process in inside}
    leaves = [
        process
        for process in inside
        if process.pid not in parents
        and "python" in process.command
        and "resource_tracker" not in process.command
    ]
    if not leaves:
        raise LookupError("no worker process is running")
    return max(leaves, key=lambda process: process.pid)
