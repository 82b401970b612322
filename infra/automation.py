"""Pulumi's Automation API on this project: how Python here asks the engine for something."""

import importlib.metadata
import os
import re
import subprocess
from collections.abc import Mapping
from typing import Any

from pulumi.automation import CommandError, CommandResult, PulumiCommand
from pulumi.automation.errors import create_command_error
from semver import VersionInfo

TIMEOUT_S = 120.0
"""Longest time for an answer: a backend may hang."""


class Engine(PulumiCommand):
    """The `pulumi` on PATH. It answers within `TIMEOUT_S`, and a Ctrl-C is not sent to it."""

    def __init__(self) -> None:
        # Without the base class's, which runs the program for its version every time: scripts/setup
        # sees to one that is at least as new as the SDK.
        self.command = "pulumi"
        self.version = VersionInfo.parse(importlib.metadata.version("pulumi"))

    def run(
        self, args: list[str], cwd: str, additional_env: Mapping[str, str], *_: Any, **__: Any
    ) -> CommandResult:
        """Run a command of the engine.

        Raises:
            CommandError: it failed, did not answer in time, or is not there; see `reason`.
        """
        try:
            done = subprocess.run(
                [self.command, *args, "--non-interactive"],
                cwd=cwd,
                env={**os.environ, **additional_env},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise failure(f"pulumi does not answer within {TIMEOUT_S:g} s") from None
        except OSError as error:
            raise failure(f"pulumi cannot be run: {error.strerror}") from None
        result = CommandResult(done.stdout, done.stderr, done.returncode)
        if done.returncode:
            raise create_command_error(result)
        return result


def failure(stderr: str, status: int = -1) -> CommandError:
    """Return the Automation API's error for what an engine said before it ended."""
    return create_command_error(CommandResult("", stderr, status))


def reason(error: CommandError) -> str:
    """Return the last line that the engine said; the API's errors have it in their text alone."""
    said = str(error).rpartition(" stderr: ")[2].split("\n")
    lines = [line.strip() for line in said if line.strip()]
    if lines:
        return lines[-1].removeprefix("error: ")
    code = re.search(r"code: (-?\d+)", str(error))
    return f"status {code[1]}" if code else "no message"
