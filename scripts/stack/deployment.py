"""Deploying a stack and removing it again, so that nothing of it is left."""

import contextlib
import time

from scripts.shared import ui
from scripts.stack import leftovers, snapshot, updates


def require_nothing(stack: str) -> None:
    """Raise `ui.SetupError` if a stack is deployed: what is deployed next is removed again."""
    if snapshot.read(stack).resources:
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
    before = snapshot.Snapshot()
    try:
        updates.unlock(stack)
        before = snapshot.read(stack)
        if before.empty:
            return True, time.monotonic() - began
        updates.destroy(stack)
        good = True
    except updates.LockedError as error:
        ui.say(stack, f"not removed: {error}")
        return False, time.monotonic() - began
    except ui.SetupError as error:
        ui.say(stack, str(error))
    for left in leftovers.remove_labelled(before.deployments):
        ui.say(stack, f"the engine left {left} behind: removed")
    if not good:
        with contextlib.suppress(ui.SetupError):
            updates.destroy(stack, refresh=True)
            good = True
    # What they made is gone now; Pulumi would warn of them for good.
    if good and before.unfinished:
        with contextlib.suppress(ui.SetupError):
            updates.forget_unfinished(stack)
    took = time.monotonic() - began
    if good:
        ui.say(stack, f"removed in {ui.elapsed(took)}")
    else:
        ui.say(stack, f"not removed; try: . scripts/activate; pulumi destroy --refresh -s {stack}")
    return good, took
