"""What an upgrade came to, in figures: for its file, for its lines, and for the verdict."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scripts.commands.bench.scenarios.upgrade import kills, serving
from scripts.commands.bench.scenarios.upgrade.kills import Kill
from scripts.commands.bench.scenarios.upgrade.look import Job
from scripts.commands.bench.scenarios.upgrade.serving import Span
from scripts.commands.bench.upgrade_options import Asked
from scripts.shared import ui
from scripts.shared.status import Status, worst
from workloads.faults.handover import BACKUP, UPGRADE


@dataclass
class Upgrade:
    """An upgrade as it was seen; what was not seen is None or empty.

    Attributes:
        heads: revision of the schema of each release, the old one first.
        up_s: seconds of `up` with the new release.
        serves: which release answered when, in seconds after that command.
        filled: last line of the audit of what was written before the load.
        indexes: how many a fresh database of the new release has; or why that is not known.
        missing: those of them that are not there.
        way_back: lines about the restore into the old release.
        problems: what makes the result bad whatever the load's own verdict is.
    """

    stack: str
    asked: Asked
    heads: dict[str, str]
    up_s: float | None = None
    job: Job | None = None
    serves: list[Span] = field(default_factory=list)
    filled: str = ""
    indexes: int | str = "the upgrade had not come so far"
    missing: list[str] = field(default_factory=list)
    way_back: list[str] = field(default_factory=list)
    killed: list[Kill] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write `upgrade.json` beside the files of the load."""
        content = asdict(self) | {"users": noticed(folder)}
        (folder / "upgrade.json").write_text(json.dumps(content, indent=2) + "\n")


def noticed(folder: Path) -> dict[str, Any]:
    """Return what users noticed of each change, by the result of the load; {}: there is none."""
    try:
        result = json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        return {}
    kinds = result["durability"]["kinds"].values()
    totals = ("acknowledged", "lost", "duplicates", "orphans", "unread")
    changes = (result["resilience"] or {"faults": []})["faults"]
    kept = ("calls", "failed", "succeeded_after_retry", "client_errors", "recovered_s", "healed_s")
    return {
        "durability": {name: sum(kind[name] for kind in kinds) for name in totals},
        "changes": {
            change["fault"]: {name: change[name] for name in kept} | {"outages": change["outages"]}
            for change in changes
        },
    }


def lines(seen: Upgrade, folder: Path) -> list[str]:
    """Say the figures, a line each."""
    (old, before), (new, after) = seen.heads.items()
    way = f", {serving.way(seen.serves)}" if seen.serves else ""
    said = [f"{old} (schema {before}) to {new} (schema {after}){way}"]
    if seen.up_s is not None:
        said.append(f"up {seen.up_s:.1f} s; {_job(seen.job)}")
    if seen.serves:
        said.append(f"served: {serving.words(seen.serves)}, from the command on")
    users = noticed(folder)
    for name in (BACKUP, UPGRADE):
        if change := users.get("changes", {}).get(name):
            said += _change(name, change)
    if kept := users.get("durability"):
        said.append(
            f"acknowledged before, during and after: {kept['acknowledged']}; lost {kept['lost']}, "
            f"duplicates {kept['duplicates']}, orphans {kept['orphans']}, never read "
            f"{kept['unread']}"
        )
    if seen.filled:
        said.append(f"written before the load: {seen.filled}")
    said.append(_indexes(seen, new))
    said += [f"back: {line}" for line in seen.way_back]
    said += [f"kill {number}: {kills.line(kill)}" for number, kill in enumerate(seen.killed, 1)]
    return said


def _job(job: Job | None) -> str:
    if job is None:
        return "the schema job was not seen"
    if job.seconds is None:
        return f"the schema job {job.action}: {job.line}"
    return f"the schema job {job.action} the schema in {job.seconds:.1f} s of it"


def _change(name: str, change: dict[str, Any]) -> list[str]:
    """Say what users noticed of one change."""
    outages = ", ".join(f"{path} {_between(outage)}" for path, outage in change["outages"].items())
    saw = ", ".join(f"{word} x {count}" for word, count in change["client_errors"].items())
    return [
        f"{name}: longest time without, s: {outages or 'not probed'}",
        f"{name}: of {change['calls']} calls {change['failed']} failed, "
        f"{change['succeeded_after_retry']} were mended by the client's retry; clients saw: "
        f"{saw or 'nothing'}",
    ]


def _between(outage: dict[str, Any]) -> str:
    low, high = f"{outage['at_least_s']:.1f}", f"{outage['at_most_s']:.1f}"
    return high if low == high else f"{low} to {high}"


def _indexes(seen: Upgrade, new: str) -> str:
    if isinstance(seen.indexes, str):
        return f"indexes: not looked at: {seen.indexes}"
    if seen.missing:
        return f"indexes: {len(seen.missing)} of the {seen.indexes} of {new} are missing"
    return f"indexes: all {seen.indexes} that a fresh database of {new} has"


def problems(seen: Upgrade) -> Sequence[str]:
    """Return what makes the result bad, beside what the load found."""
    return [
        *seen.problems,
        *(f"index missing: {definition}" for definition in seen.missing),
        *(
            f"kill {number}: {kill.trouble}"
            for number, kill in enumerate(seen.killed, 1)
            if kill.trouble
        ),
    ]


def misses(seen: Upgrade) -> Sequence[str]:
    """Return what was not tried though it was asked for."""
    return [
        f"kill {number}: {kill.victim} was not there at the moment"
        for number, kill in enumerate(seen.killed, 1)
        if kill.at_s is None
    ]


def status(seen: Upgrade, load: Status) -> Status:
    """Return the verdict: that of the load, where nothing else is worse."""
    if load is Status.COULD_NOT_RUN:
        return load
    found = Status.BAD if problems(seen) else Status.INVALID if misses(seen) else Status.GOOD
    return worst([load, found])


def not_looked_at(seen: Upgrade) -> str:
    """Return what the verdict says nothing about, to be put after it; empty: nothing."""
    return f"; not looked at: indexes ({seen.indexes})" if isinstance(seen.indexes, str) else ""


def tell(seen: Upgrade, folder: Path) -> None:
    """Print the figures, and what is wrong."""
    for line in lines(seen, folder):
        ui.say(seen.stack, line)
    for problem in problems(seen):
        ui.say(seen.stack, f"wrong: {problem}")
    for miss in misses(seen):
        ui.say(seen.stack, f"not tried: {miss}")
