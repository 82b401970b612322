"""What clients were told, and so what a store may have after a power failure."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

Value = str | None
"""Of a key; None: it is absent."""


@dataclass(frozen=True)
class Outcome:
    """What a power failure did."""

    after: float
    """Seconds of load before it."""
    acknowledged: int
    broken: dict[str, str] = field(default_factory=dict)
    """Keys that are not as they were acknowledged, and how."""
    refused: str = ""
    """Why the server did not start or read again."""

    def __str__(self) -> str:
        ways = [f"{count} {how}" for how, count in Counter(self.broken.values()).items()]
        held = self.refused or ", ".join(ways) or "0 lost"
        return f"cut after {self.after:.2f} s: {self.acknowledged} acknowledged, {held}"


@dataclass
class Ledger:
    """Writes of several clients; each key is one client's, which does one thing at a time."""

    before: dict[str, str] = field(default_factory=dict)
    """What the store had when they began."""
    _entries: list[tuple[float, str, Value, bool]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def attempt(self, key: str, value: Value) -> None:
        """Note that a write is about to be sent."""
        self._note(key, value, acknowledged=False)

    def acknowledge(self, key: str, value: Value) -> None:
        """Note that its answer came."""
        self._note(key, value, acknowledged=True)

    def _note(self, key: str, value: Value, *, acknowledged: bool) -> None:
        with self._lock:
            self._entries.append((time.monotonic(), key, value, acknowledged))

    def acknowledged(self, cut: float) -> int:
        """Return how many writes were acknowledged before the moment of the cut."""
        return sum(told and moment < cut for moment, _, _, told in list(self._entries))

    def possible(self, cut: float) -> dict[str, set[Value]]:
        """Return the values that each key may have: the last one acknowledged before the cut, or
        one that was attempted since.
        """
        found: dict[str, set[Value]] = {key: {value} for key, value in self.before.items()}
        for moment, key, value, told in self._entries:
            if told and moment < cut:
                found[key] = {value}
            elif not told:
                found.setdefault(key, {None}).add(value)
        return found

    def broken(self, found: dict[str, str], cut: float) -> dict[str, str]:
        """Return the keys that have none of their values, and how each is wrong."""
        wrong = {}
        possible = self.possible(cut)
        for key, values in possible.items():
            value = found.get(key)
            if value not in values:
                wrong[key] = (
                    "lost"
                    if value is None
                    else "back after its deletion"
                    if values == {None}
                    else "not as it was written"
                )
        wrong.update(dict.fromkeys(found.keys() - possible.keys(), "never written"))
        return wrong
