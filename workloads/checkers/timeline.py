"""When things happened in a run, and which fault was in effect then."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from workloads.history.tables import Tables, events

OVER = frozenset({"healed", "failed"})
"""States of a fault that is not there any more, or never took."""


@dataclass
class Timeline:
    """The clocks of a history and its faults; times in ns, of the monotonic clock unless said."""

    start_ns: int = 0
    """When the first load began, or the history where there was none."""
    offset_ns: int = 0
    """What the Unix clock was ahead of the monotonic one."""
    _begun: bool = False
    _loaded: bool = False
    _faults: list[tuple[int, str, str]] = field(default_factory=list)

    def note(self, line: dict[str, Any]) -> None:
        """Take what a line of the history, of any type, says of time and faults."""
        if not self._begun:
            self.start_ns, self._begun = line["mono_ns"], True
            self.offset_ns = line["wall_ns"] - line["mono_ns"]
        if line["type"] == "phase" and not self._loaded:
            self.start_ns, self._loaded = line["mono_ns"], True
        if line["type"] == "fault":
            of = f" of {line['component']}" if line.get("component") else ""
            self._faults.append((line["mono_ns"], f"{line['fault']}{of}", line["state"]))

    def wall_ns(self, mono_ns: int) -> int:
        """Return a time by the Unix clock."""
        return mono_ns + self.offset_ns

    def when(self, mono_ns: int) -> str:
        """Return a time in words: UTC, and seconds into the run."""
        utc = datetime.fromtimestamp(self.wall_ns(mono_ns) / 1e9, UTC)
        into = (mono_ns - self.start_ns) / 1e9
        return f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03} UTC ({into:.1f} s in)"

    def faults_at(self, mono_ns: int) -> str:
        """Return the faults there were at a time, else the next one; empty: neither."""
        states: dict[str, str] = {}
        for at, fault, state in self._faults:
            if at <= mono_ns:
                states[fault] = state
        active = [f"{fault} {state}" for fault, state in states.items() if state not in OVER]
        if active:
            return f"with {', '.join(active)}"
        for at, fault, state in self._faults:
            if at > mono_ns and state not in OVER:
                return f"{(at - mono_ns) / 1e9:.1f} s before {fault}"
        return ""


def timeline_of(tables: Tables) -> Timeline:
    """Return the clocks and faults of a history."""
    timeline = Timeline()
    for line in events(tables, "plan", "phase", "fault"):
        timeline.note(line)
    return timeline
