"""Deploying a stack and removing it again, so that nothing of it is left."""

import contextlib
import time
from collections.abc import Iterator, Sequence

from scripts import deployed
from scripts.prepare import cluster, plugins, ui
from scripts.prepare.pins import LOGS, ROOT

UP_PATIENCE_S = 120.0
"""Time for the engine to end an interrupted deployment by itself."""


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


def remove(stack: str) -> tuple[bool, float]:
    """Destroy a stack and make sure that nothing of it is left; return success and seconds."""
    began = time.monotonic()
    good = False
    state = deployed.State()
    try:
        deployed.unlock(stack)
        state = deployed.read_state(stack)
        pulumi(stack, "destroy")
        good = True
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
        for line in deployed.diagnostics(log.read_text(errors="replace")):
            ui.say(stack, line)
        raise ui.SetupError(f"pulumi {verb} {error.ending} (log: {log})") from error
