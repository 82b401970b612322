"""The bottleneck: the resource that was at its limit in a stage, with the evidence.

The order is that of the USE method (Brendan Gregg: utilization, saturation, errors): a limit that
is set is looked at before the machine, since it gives out whatever the machine still has.
"""

from collections.abc import Iterator

from workloads.plan.plan import Plan
from workloads.verdict.result import Bottleneck, Observed, StageFigures

AT_LIMIT = 0.85
"""Share of a limit above which, as a mean over the stage, queues in front of it are long."""

MOST_CONNECTIONS = 0.9
WAITING = 0.5
"""Share of active sessions that wait for one thing, above which that decides their time."""

FEW_ACTIVE = 1.0

IO_WAIT = 0.3
"""Share of the machine's time in which nothing ran as a disk was waited for."""


def find(plan: Plan, stage: StageFigures | None, *, saturated: bool) -> Bottleneck | None:
    """Name what was at its limit; None where the load was not meant to find one and none was.

    `saturated` says that more users brought no more: something gave out, seen or not.
    """
    if stage is None or stage.observed is None or plan.target is None:
        return None
    limit = next(_limits(plan, stage.observed), None)
    if limit or not saturated:
        return limit
    return Bottleneck(
        resource=None,
        evidence=_overview(stage.observed),
        remedy="Look at locks and at the server's log; a network or a sleep limits it too.",
    )


def _limits(plan: Plan, seen: Observed) -> Iterator[Bottleneck]:
    machine, database = seen.machine, seen.database
    if database and database.most_connections >= MOST_CONNECTIONS * database.max_connections:
        yield Bottleneck(
            resource="PostgreSQL's connections",
            evidence=[f"{database.most_connections} of {database.max_connections} were open"],
            remedy="Allow more connections, or give each worker a smaller pool.",
        )
    for name, component in seen.components.items():
        if component.cpu_limit and component.cpu >= AT_LIMIT * component.cpu_limit:
            yield Bottleneck(
                resource=f"the CPU limit of {name}",
                evidence=[f"{component.cpu:.2f} of {component.cpu_limit:.2f} cores in use"],
                remedy=f"Raise the CPU limit of {name}, or add a replica.",
            )
    for name, component in seen.components.items():
        limit = component.memory_limit_bytes
        if limit and component.memory_bytes >= MOST_CONNECTIONS * limit:
            yield Bottleneck(
                resource=f"the memory limit of {name}",
                evidence=[f"{component.memory_bytes >> 20} of {limit >> 20} MiB in use"],
                remedy=f"Raise the memory limit of {name}.",
            )
    if machine.cpu >= AT_LIMIT * machine.cores:
        yield Bottleneck(
            resource="the machine's CPU",
            evidence=_overview(seen),
            remedy=_more_cpu(seen),
        )
    if machine.io_wait >= IO_WAIT * machine.cores:
        yield Bottleneck(
            resource="the disk",
            evidence=[f"{machine.io_wait:.1f} of {machine.cores} cores idle for it"],
            remedy="Put PostgreSQL's volume on a faster disk.",
        )
    if database and database.active >= FEW_ACTIVE:
        for what, sessions in database.waiting.items():
            if what != "Client" and sessions >= WAITING * database.active:
                yield Bottleneck(
                    resource=f"PostgreSQL's sessions waiting for {what}",
                    evidence=[f"{sessions:.1f} of {database.active:.1f} active ones at any moment"],
                    remedy=_WAITS.get(what, "See pg_stat_activity for what they wait for."),
                )
    busy = [(name, part.cpu) for name, part in seen.components.items() if name.startswith("mlflow")]
    workers = plan.target.workers if plan.target else 1
    if busy and all(cpu >= AT_LIMIT * workers for _, cpu in busy):
        yield Bottleneck(
            resource="the worker processes of the tracking servers",
            evidence=[f"{name} {cpu:.2f} cores" for name, cpu in busy]
            + [f"{workers} {'worker' if workers == 1 else 'workers'} each"],
            remedy="A Python process uses one core at most: add workers or replicas.",
        )


_WAITS = {
    "Lock": "Several write the same rows: spread them over more runs.",
    "IO": "Put PostgreSQL's volume on a faster disk.",
    "LWLock": "Give PostgreSQL more shared_buffers and WAL buffers, or a faster disk for its WAL.",
}


def _overview(seen: Observed) -> list[str]:
    machine = seen.machine
    parts = sorted(seen.components.items(), key=lambda item: -item[1].cpu)
    return [
        f"{machine.cpu:.2f} of {machine.cores} cores busy",
        *(f"{name} {part.cpu:.2f}" for name, part in parts if part.cpu >= 0.05),
        f"load generator {machine.generator_cpu:.2f}",
        f"other work {_other(seen):.2f}",
    ]


def _other(seen: Observed) -> float:
    """Cores in use by neither the components nor the generator: Docker's own, or other programs."""
    known = sum(part.cpu for part in seen.components.values()) + seen.machine.generator_cpu
    return max(0.0, seen.machine.cpu - known)


def _more_cpu(seen: Observed) -> str:
    busiest = max(seen.components, key=lambda name: seen.components[name].cpu, default=None)
    if busiest is None:
        return "Use a machine with more cores, and another one for the load generator."
    if _other(seen) > max(part.cpu for part in seen.components.values()):
        return "End the other work on this machine, which uses the most of it, and run it again."
    return f"Give it more cores; {busiest} uses the most of them."
