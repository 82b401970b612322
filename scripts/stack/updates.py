"""Updates of a stack by the Automation API: preview, up, refresh, destroy."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pulumi.automation import (
    CommandError,
    CommandResult,
    ConcurrentUpdateError,
    EngineEvent,
    OpType,
    Stack,
)

from infra.automation import Engine, failure
from scripts.shared import personal, ui
from scripts.shared.project import LOGS
from scripts.stack import locks
from scripts.stack.checkout import Checkout, answered

GRACE_S = 120.0
"""Time for the engine to end an interrupted update by itself."""

FOLLOWING = ("update failed", "an unhandled error occurred: program exited with")
"""How the engine reports that it ends, after the error that made it end."""


class LockedError(ui.SetupError):
    """Somebody else's engine is at work on a stack: it is not ours to change or to remove."""


class Update(Engine):
    """One update of a stack, with a log and progress; it gets one interrupt, and time to end.

    The API's own engine is in our process group, where a terminal's Ctrl-C reaches it beside us, a
    SIGTERM does not, and nobody ends it when it hangs.

    Attributes:
        log: all that it prints.
        took_s: seconds of the update itself; None until it has succeeded.
        ending: how it ended where it failed, as `failed with status 255`.
    """

    def __init__(self, stack: str, verb: str) -> None:
        super().__init__()
        self.log = log_of(stack, verb)
        self.took_s: float | None = None
        self.ending = "failed"
        self._stack, self._verb = stack, verb
        self._errors: list[str] = []
        self._ongoing: dict[str, str] = {}

    def run(
        self, args: list[str], cwd: str, additional_env: Mapping[str, str], *_: Any, **__: Any
    ) -> CommandResult:
        """Run the update so; and what the API reads besides as the base class does."""
        if args[0] != self._verb:
            return super().run(args, cwd, additional_env)
        try:
            self.took_s = ui.run(
                self._stack,
                f"pulumi {self._verb}",
                [self.command, *args, "--non-interactive"],
                log=self.log,
                env=additional_env,
                cwd=Path(cwd),
                grace_s=GRACE_S,
                detail=lambda _: self.step,
            )
        except ui.CommandError as error:
            self.ending = error.ending
            raise failure(self.log.read_text(errors="replace"), error.status or -1) from error
        return CommandResult(self.log.read_text(errors="replace"), "", 0)

    def on_event(self, event: EngineEvent) -> None:
        """Take the next event of the engine; in a thread of the API's."""
        ended = event.res_outputs_event or event.res_op_failed_event
        message = event.diagnostic_event
        if begun := event.resource_pre_event:
            step, urn = begun.metadata.op, begun.metadata.urn
            if step not in (OpType.SAME, OpType.REPLACE):  # Replacing is two other steps.
                verb = step.value.partition("-")[0].removesuffix("e") + "ing"
                self._ongoing[urn] = f"{_name(urn)} {verb}"
        elif ended:
            self._ongoing.pop(ended.metadata.urn, None)
        elif message and message.severity == "error":
            name = _name(message.urn or "")
            text = f"{name}: {message.message}" if name else message.message
            self._errors += [line.strip() for line in text.splitlines() if line.strip()]

    @property
    def step(self) -> str:
        """Name and state of the resource that is being worked on; of several, the last begun."""
        return (list(self._ongoing.values()) or [""])[-1]

    @property
    def errors(self) -> list[str]:
        """The lines that say what went wrong; where no event did, the last of the log."""
        causes = [line for line in self._errors if not line.startswith(FOLLOWING)]
        printed = [line.strip() for line in self.log.read_text(errors="replace").splitlines()]
        return causes or self._errors or [line for line in printed if line][-3:]


def log_of(stack: str, verb: str) -> Path:
    """Return where all is that Pulumi printed in the last update of its kind."""
    return LOGS / f"{verb}-{stack}.log"


def preview(stack: str) -> None:
    """Find out what `up` would do, for its log; raise as `up` does."""
    _update(stack, "preview")


def up(stack: str, **options: Any) -> float:
    """Deploy a stack, or bring it up to date; return the seconds that it took.

    Args:
        stack: its name.
        options: more arguments of `pulumi.automation.Stack.up`.

    Raises:
        LockedError: another engine is at work on the stack; nothing was done.
        ui.SetupError: it failed; what went wrong was printed.
    """
    return _update(stack, "up", suppress_outputs=True, **options).took_s or 0.0


def destroy(stack: str, *, refresh: bool = False) -> None:
    """Remove all that a stack has; raise as `up` does."""
    _update(stack, "destroy", refresh=refresh)


def forget_unfinished(stack: str) -> None:
    """Drop the operations that a killed engine began from the state; raise as `up` does."""
    _update(stack, "refresh", clear_pending_creates=True)


def unlock(stack: str) -> datetime | None:
    """Remove the lock that a killed engine of this host left on a stack.

    Returns:
        when that engine began; None where there was no lock.

    Raises:
        LockedError: an engine that still runs holds it.
    """
    if personal.has_backend():
        return None
    holders = locks.held(stack)
    for lock in holders:
        if lock.alive:
            raise LockedError(
                f"pulumi (process {lock.pid} on {lock.host}) is at work on {stack}: wait until it "
                f"ends; if it is dead: . scripts/activate; pulumi cancel -s {stack}"
            )
    if not holders:
        return None
    ui.say(stack, f"removing the lock that process {holders[0].pid} left when it was killed")
    with answered(f"pulumi cancel of {stack} failed"):
        Stack.select(stack, Checkout()).cancel()
    return min(lock.since for lock in holders)


def _update(stack: str, verb: str, **options: Any) -> Update:
    update = Update(stack, verb)
    method: Callable[..., object] = getattr(Stack.select(stack, Checkout(update)), verb)
    try:
        method(color="never", on_event=update.on_event, **options)
    except ConcurrentUpdateError as error:
        raise LockedError(
            f"another pulumi is at work on it: wait until it ends (log: {update.log})"
        ) from error
    except CommandError as error:
        if update.took_s is None:  # Else that failed which the API reads afterwards, for nobody.
            for line in update.errors:
                ui.say(stack, line)
            raise ui.SetupError(f"pulumi {verb} {update.ending} (log: {update.log})") from error
    return update


def _name(urn: str) -> str:
    """Return the name of a resource; an empty text for the stack itself."""
    kind, _, name = urn.rpartition("::")
    return "" if kind.endswith("pulumi:pulumi:Stack") else name
