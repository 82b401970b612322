"""This checkout as a workspace of Pulumi's Automation API."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pulumi.automation import CommandError, LocalWorkspace, StackAlreadyExistsError

from infra.automation import Engine, reason
from scripts.shared import ui
from scripts.shared.project import ROOT


class Checkout(LocalWorkspace):
    """Stacks by their names; which one is selected is the person's, and stays."""

    def __init__(self, engine: Engine | None = None) -> None:
        super().__init__(work_dir=str(ROOT), pulumi_command=engine or Engine())

    def create_stack(self, stack_name: str) -> None:
        """Create a stack without selecting it, unless it is there already."""
        argv = ["stack", "init", stack_name, "--no-select"]
        with answered(f"stack {stack_name} cannot be created"), suppress(StackAlreadyExistsError):
            self.pulumi_command.run(argv, self.work_dir, self.env_vars)

    def select_stack(self, stack_name: str) -> None:
        """Do nothing: every command of a stack names it."""


@contextmanager
def answered(failure: str) -> Iterator[None]:
    """Turn an error of the engine into a `ui.SetupError`: `failure`, and why, in one line."""
    try:
        yield
    except CommandError as error:
        raise ui.SetupError(f"{failure}: {reason(error)}") from None
