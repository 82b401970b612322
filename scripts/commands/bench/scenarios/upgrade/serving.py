"""Which release serves at which moment, as a client sees it."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scripts.shared import tracking_server

EVERY_S = 0.1


@dataclass(frozen=True)
class Span:
    """A time in which all answers were of one release; None: there was none.

    Times are seconds after the command: of the first answer, and of the last one.
    """

    release: str | None
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Look:
    """An answer to the question for the release, when it came; None: there was none."""

    at_s: float
    release: str | None


class Serving:
    """Asks a tracking server for its release ten times a second, from a thread, in its block."""

    def __init__(self, address: str, ca_file: Path | None = None) -> None:
        self.looks: list[Look] = []
        self._address, self._ca_file = address, ca_file
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            release = now(self._address, self._ca_file)
            self.looks.append(Look(time.monotonic() - self._began, release))
            due = max(due + EVERY_S, time.monotonic())
            self._over.wait(due - time.monotonic())


def now(address: str, ca_file: Path | None = None) -> str | None:
    """Return the release that a tracking server says it has; None: it does not answer."""
    try:
        return tracking_server.release(address, ca_file)
    except OSError:
        return None


def spans(looks: Sequence[Look]) -> list[Span]:
    """Put looks of the same answer together."""
    found: list[Span] = []
    for look in looks:
        if found and found[-1].release == look.release:
            found[-1] = Span(look.release, found[-1].begin_s, look.at_s)
        else:
            found.append(Span(look.release, look.at_s, look.at_s))
    return found


def way(found: Sequence[Span]) -> str:
    """Say how one release followed the other: with a time between in which nothing served?"""
    stopped = any(
        between.release is None and before.release != after.release
        for before, between, after in zip(found, found[1:], found[2:], strict=False)
    )
    return "all replicas stopped meanwhile" if stopped else "replica after replica"


def words(found: Sequence[Span]) -> str:
    """Say what served when, as a line."""
    said = []
    for number, span in enumerate(found):
        if span.release is None:
            before = found[number - 1].end_s if number else 0.0
            after = found[number + 1].begin_s if number + 1 < len(found) else span.end_s
            said.append(f"nothing for {after - before:.1f} s")
        elif number + 1 < len(found):
            said.append(f"{span.release} until {span.end_s:.1f} s")
        else:
            said.append(f"{span.release} from {span.begin_s:.1f} s on")
    return ", ".join(said) or "not asked"
