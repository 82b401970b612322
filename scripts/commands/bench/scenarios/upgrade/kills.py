"""Upgrades that are killed half-way and finished by another `up`, with all data there."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.outputs import Target
from scripts.commands.bench.scenarios.upgrade import killer, look, serving
from scripts.commands.bench.scenarios.upgrade.killer import Killer, Plan, Times
from scripts.shared import ui
from scripts.shared.ui import SetupError
from scripts.stack import copies, deployment, updates

UNKNOWN = "not known"

DATABASE_S = 120.0
"""Longest time until a database that was killed can be asked again."""


@dataclass(frozen=True)
class Kill:
    """One killed upgrade.

    Attributes:
        at_s: seconds after the begin of `up`; None: the victim was not there to be killed.
        ended: how `up` ended then.
        schema: release whose schema the database had afterwards; another revision as it is.
        served: release that served afterwards; None: nothing did.
        again_s: seconds of the second `up`; None: it failed, and `trouble` says why.
        finished: release that served in the end.
        audit: the last line of the audit.
        trouble: what was not as it has to be; empty: nothing.
        times: of the upgrade where nothing was killed and it went well.
    """

    victim: str
    at_s: float | None
    ended: str
    schema: str
    served: str | None
    again_s: float | None
    finished: str | None
    audit: str
    trouble: str
    times: Times | None = None

    def figures(self) -> dict[str, Any]:
        """Return it for a file."""
        return asdict(self)


def once(
    stack: str,
    copy: Path,
    plan: Plan,
    times: Times,
    heads: dict[str, str],
    filled: Path,
) -> Kill:
    """Kill the upgrade of a stack that is at the old release and holds what `filled` wrote.

    `times` are those of an upgrade that nobody kills; `heads` the schema of the old release and of
    the new one.
    """
    new = list(heads)[-1]
    before = look.target(stack)
    copies.configure(copy, {"mlflow": new})
    ended, unkilled = "went well", None
    with Killer(plan, before, times) as killing:
        try:
            up_s = updates.up(stack, config_file=str(copy))
        except SetupError as error:
            ended = str(error).partition(" (log")[0]
        else:
            unkilled = killer.times(before, up_s)
    schema, served = _schema(before, heads), serving.now(before.tracking_uri)
    again_s, finished, audit = None, None, "not audited"
    troubles = [trouble] if (trouble := _of_schema(schema, heads)) else []
    try:
        updates.unlock(stack)
        again_s = round(updates.up(stack, refresh=True, config_file=str(copy)), 1)
        finished = serving.now(look.target(stack).tracking_uri)
        there, audit = look.audit(stack, filled, filled.parent / "audit.log")
        if not there:
            troubles.append(f"not all is there: {audit}")
        if finished != new:
            troubles.append(f"{finished or 'nothing'} serves in the end, not {new}")
    except SetupError as error:
        step = "the second up failed" if again_s is None else "after the second up"
        troubles.append(f"{step}: {error}")
    at_s = None if killing.at_s is None else round(killing.at_s, 1)
    return Kill(
        plan.victim,
        at_s,
        ended,
        schema,
        served,
        again_s,
        finished,
        audit,
        "; ".join(troubles),
        unkilled if at_s is None else None,
    )


def line(kill: Kill) -> str:
    """Say what came of a kill."""
    when = "was not there" if kill.at_s is None else f"killed after {kill.at_s:.1f} s"
    again = "failed" if kill.again_s is None else f"{kill.again_s:.1f} s"
    end = kill.trouble or f"then {kill.finished}, {kill.audit}"
    schema = kill.schema if kill.schema.startswith(UNKNOWN) else f"of {kill.schema}"
    return (
        f"{kill.victim} {when}: up {kill.ended}; schema {schema}, "
        f"{kill.served or 'nothing'} served; up again {again}: {end}"
    )


def _of_schema(schema: str, heads: dict[str, str]) -> str:
    """Return what is wrong with the schema after a kill; empty: it is that of either release."""
    if schema in heads:
        return ""
    if schema.startswith(UNKNOWN):
        return f"the schema after the kill is {schema}"
    return f"the schema was between both: {schema}"


def _schema(stack: Target, heads: dict[str, str]) -> str:
    """Return whose schema the database has; what it has, if it is that of neither release."""
    deadline = time.monotonic() + DATABASE_S
    while True:
        try:
            revision = look.revision(stack)
        except SetupError as error:
            if time.monotonic() > deadline:
                return f"{UNKNOWN} ({error})"
            time.sleep(0.5)
        else:
            return next((name for name, head in heads.items() if head == revision), revision)


def removed(stack: str) -> None:
    """Remove a stack, to begin anew; raises `SetupError` if it is not gone."""
    with ui.second_interrupt_only(stack):
        gone, _ = deployment.remove(stack)
    if not gone:
        raise SetupError(f"{stack} could not be removed")
