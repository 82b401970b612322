"""What a resource type must do, and what it is handed while doing it."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from scripts.offline.plugins.protocol.codec import Properties, scrub
from scripts.offline.plugins.protocol.errors import CancelledError, RefusedError
from scripts.offline.plugins.protocol.schema import Difference, Failure, Prop


class Console(Protocol):
    """Where messages for the person at the terminal go."""

    def status(self, urn: str, message: str) -> None:
        """Show a line beside the resource until the next one."""


class Call:
    """One operation under way: its cancellation, its messages, and the way back."""

    def __init__(
        self,
        urn: str,
        console: Console,
        cancelled: threading.Event,
        caller_is_there: Callable[[], bool],
        timeout: float = 0,
    ) -> None:
        """Begin. `timeout` in seconds is the program's own (`customTimeouts`); 0 is none."""
        self.urn = urn
        self.secrets: list[str] = []
        self._timeout = timeout
        self._start = time.monotonic()
        self._console = console
        self._cancelled = cancelled
        self._caller_is_there = caller_is_there
        self._undo: list[Callable[[], None]] = []
        self._shown = ""

    def proceed(self) -> None:
        """Raise CancelledError when nobody wants the result any more, or not so late."""
        if self._cancelled.is_set() or not self._caller_is_there():
            raise CancelledError("cancelled")
        if self._timeout and time.monotonic() - self._start > self._timeout:
            raise RefusedError(f"not done within its custom timeout of {self._timeout:.0f} s")

    def sleep(self, seconds: float) -> None:
        """Wait, but no longer than the operation is wanted."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.proceed()
            self._cancelled.wait(min(left, 0.1))
        self.proceed()

    def status(self, message: str) -> None:
        """Show progress, without secrets; the same words again show nothing."""
        if message != self._shown:
            self._shown = message
            self._console.status(self.urn, self.scrub(message))

    def scrub(self, message: str) -> str:
        """The message without this operation's secrets."""
        return scrub(message, self.secrets)

    def on_failure(self, undo: Callable[[], None]) -> None:
        """Remember how to take back what was just made."""
        self._undo.append(undo)

    def roll_back(self) -> list[str]:
        """Take back everything, newest first. Returns what could not be taken back, in words."""
        problems = []
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as problem:
                problems.append(str(problem))
        return problems


@dataclass(frozen=True)
class CreateResult:
    """A resource that exists now: its id, and the outputs that are not inputs."""

    id: str
    outputs: Properties


@dataclass(frozen=True)
class ReadResult:
    """A resource as it was found: inputs as if someone had written what is there, and outputs."""

    id: str
    inputs: Properties
    outputs: Properties


class Resource(ABC):
    """One resource type. Values it is handed are plain: secrets are revealed, defaults filled."""

    token: ClassVar[str]
    table: ClassVar[Mapping[str, Prop]]
    # Outputs which an update will tell; a preview shows them as unknown.
    computed: ClassVar[tuple[str, ...]] = ()
    # Outputs that are secret whatever the inputs were.
    secret_outputs: ClassVar[tuple[str, ...]] = ()
    autonamed: ClassVar[bool] = False
    delete_before_replace: ClassVar[bool] = False

    def check(self, inputs: Properties) -> list[Failure]:
        """Rules over several properties. Values may be unknown."""
        return []

    def complete(self, inputs: Properties) -> Properties:
        """The inputs with what the plugin adds to them (a digest, say). Secrets stay wrapped."""
        return inputs

    def unknown_after_update(self, differences: list[Difference]) -> tuple[str, ...]:
        """The outputs that an update in place may change."""
        return ()

    def builds_on_preview(self, inputs: Properties) -> bool:
        """Whether a preview should create for real."""
        return False

    @abstractmethod
    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Make it, or leave nothing behind and raise."""

    def read(
        self, call: Call, id_: str, inputs: Properties | None, state: Properties
    ) -> ReadResult | None:
        """What is there now, or None. `inputs` is None on import."""
        if inputs is None:
            raise RefusedError(f"the bundled plugin does not import {self.token}")
        return ReadResult(id_, inputs, state)

    def update(
        self, call: Call, id_: str, old: Properties, new: Properties, state: Properties
    ) -> Properties:
        """Change it in place; returns the outputs that are not inputs."""
        raise RefusedError(f"{self.token} cannot change in place")

    def delete(self, call: Call, id_: str, state: Properties) -> None:  # noqa: B027
        """Remove it. Already gone is success."""
