"""Deploying a stack and removing it again, so that nothing of it is left."""

import contextlib
import time
from collections.abc import Iterator, Sequence

from scripts import deployed
from scripts.prepare import cluster, plugins, ui
from scripts.prepare.pins import LOGS, ROOT

UP_PATIENCE_S = 120.0
"""Time for the engine to end an interrupted deployment by itself."""

LOCKED = ("is currently locked by", "Another update is currently in progress")
"""What backends say, a folder or bucket and Pulumi's service, when an engine is at work."""


@contextlib.contextmanager
def test_cluster(stacks: Sequence[str], keep: bool) -> Iterator[None]:
    """Have the test cluster run if one of the stacks goes there; end it if it was started here.

    The plugin that talks to clusters is there as well, of a stack that goes to any.
    """
    plugins.build_for(stacks)
    there = [stack for stack in stacks if cluster.wanted([stack])]
    if not there or not cluster.start():
        yield
        return
    try:
        for stack in there:
            if deployed.read_state(stack).resources:
                ui.say(stack, "was in a test cluster that has ended")
                remove(stack)
        yield
    finally:
        if not keep:
            cluster.end()


def require_nothing(stack: str) -> None:
    """Raise `ui.SetupError` if a stack is deployed: what is deployed next is removed again."""
    if deployed.read_state(stack).resources:
        raise ui.SetupError(in_the_way(stack))


def in_the_way(stack: str) -> str:
    """Say that a stack is deployed, and what to do about it."""
    return f"it is deployed; remove it first: . scripts/activate; pulumi destroy -s {stack}"


def remove(stack: str) -> tuple[bool, float]:
    """Destroy a stack and make sure that nothing of it is left; return success and seconds.

    What another engine is at work on is not touched.
    """
    began = time.monotonic()
    good = False
    state = deployed.State()
    try:
        deployed.unlock(stack)
        state = deployed.read_state(stack)
        if state.empty:
            return True, time.monotonic() - began
        pulumi(stack, "destroy")
        good = True
    except deployed.LockedError as error:
        ui.say(stack, f"not removed: {error}")
        return False, time.monotonic() - began
    except ui.SetupError as error:
        ui.say(stack, str(error))
    for left in deployed.remove_labelled(state.deployments):
        ui.say(stack, f"the engine left {left} behind: removed")
    if not good:
        with contextlib.suppress(ui.SetupError):
            pulumi(stack, "destroy", "--refresh")
            good = True
    if good and state.unfinished:  # What they made is gone now; Pulumi would warn of them for good.
        with contextlib.suppress(ui.SetupError):
            pulumi(stack, "refresh", "--clear-pending-creates")
    took = time.monotonic() - began
    if good:
        ui.say(stack, f"removed in {ui.elapsed(took)}")
    else:
        ui.say(stack, f"not removed; try: . scripts/activate; pulumi destroy --refresh -s {stack}")
    return good, took


def up(stack: str, *options: str) -> float:
    """Deploy a stack, or bring it up to date; return and raise as `pulumi` does."""
    return pulumi(stack, "up", "--skip-preview", "--suppress-outputs", *options)


def pulumi(stack: str, verb: str, *options: str) -> float:
    """Run the engine on a stack; return the seconds that it took.

    Raises:
        deployed.LockedError: another engine is at work on the stack; nothing was done.
        ui.SetupError: it failed; its diagnostics were printed.
    """
    log = LOGS / f"{verb}-{stack}.log"
    argv = ["pulumi", verb, "--yes", "--non-interactive", "--color=never", "--stack", stack]
    try:
        return ui.run(
            stack,
            f"pulumi {verb}",
            [*argv, *options],
            log=log,
            cwd=ROOT,
            patience=UP_PATIENCE_S,
            detail=deployed.last_step,
        )
    except ui.CommandError as error:
        said = log.read_text(errors="replace")
        if any(words in said for words in LOCKED):
            raise deployed.LockedError(
                f"another pulumi is at work on it: wait until it ends (log: {log})"
            ) from error
        for line in deployed.diagnostics(said):
            ui.say(stack, line)
        raise ui.SetupError(f"pulumi {verb} {error.ending} (log: {log})") from error
