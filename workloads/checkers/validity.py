"""Do the figures count? The gates of a closed run without a fault, after the project's method.

How they apply to training, where the client computes by nature:

- *Client CPU* is what calls take of a core, not the model fits between them: those belong to the
  step and delay no call, since each user has a process of its own.
- *Loop lag* counts while a call waits, for the same reason.
- *Settled* compares the first and the second half of the load phase, the rate and the medians of
  the same calls, within 25 % in all: the three 5 s windows within 10 % are made for a steady rate
  of like requests, while 5 s hold only a few training steps of three kinds, so that their number
  differs more than that by chance.
"""

import math
from collections import defaultdict
from statistics import median
from typing import Any

import numpy as np

from workloads.figures import measured, timed, window_ns
from workloads.history import Record
from workloads.result import Gate

CPU_LIMIT = 0.7
LAG_LIMIT_MS = 20.0
DRIFT_LIMIT = 1.25
FEWEST_CALLS = 200
FEWEST_STEPS = 3


def gates(record: Record) -> list[Gate]:
    """Every gate with its limit and what was measured."""
    return [
        _complete(record),
        _samples(record),
        _cpu(record),
        _lag(record),
        _settled(record),
        _retries(record),
        _users(record),
        _restarts(record),
    ]


def _complete(record: Record) -> Gate:
    whole = "finish" in record.phases and "interrupted" not in record.other
    return Gate(
        name="run complete",
        limit="load phase to its end",
        measured="complete" if whole else "interrupted",
        passed=whole,
        remedy="Run it again to the end.",
    )


def _samples(record: Record) -> Gate:
    operations = measured(record)
    calls = sum(o.type == "call" for o in operations)
    steps: dict[str, int] = defaultdict(int)
    for operation in operations:
        if operation.type == "step":
            steps[operation.name] += 1
    fewest = min(steps.values(), default=0)
    return Gate(
        name="enough samples",
        limit=f"≥ {FEWEST_CALLS} calls, ≥ {FEWEST_STEPS} steps of each kind",
        measured=f"{calls} calls, {fewest} steps",
        passed=calls >= FEWEST_CALLS and fewest >= FEWEST_STEPS,
        remedy="Use --profile full, or find out why the server is so slow.",
    )


def _cpu(record: Record) -> Gate:
    shares = [s["call_cpu_s"] / s["span_s"] for s in _samples_in(record)]
    worst = max(shares, default=math.nan)
    return Gate(
        name="client CPU in calls",
        limit=f"≤ {CPU_LIMIT:.0%} of a core in any second",
        measured=f"{worst:.0%} at most" if shares else "no samples",
        passed=bool(shares) and worst <= CPU_LIMIT,
        remedy="The client is the limit: use a faster machine for it.",
    )


def _lag(record: Record) -> Gate:
    lags = [lag for s in _samples_in(record) for lag in s["lag_ms"]]
    p99 = float(np.percentile(lags, 99)) if lags else math.nan
    return Gate(
        name="loop lag while a call waits",
        limit=f"p99 ≤ {LAG_LIMIT_MS:.0f} ms",
        measured=f"p99 {p99:.1f} ms of {len(lags)} samples" if lags else "no samples",
        passed=bool(lags) and p99 <= LAG_LIMIT_MS,
        remedy="This machine is too busy to measure: end other work on it, or use fewer users.",
    )


def _settled(record: Record) -> Gate:
    begin, end = window_ns(record)
    halves: dict[str, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    answered = [0, 0]
    for operation in measured(record):
        if operation.type == "call" and timed(operation):
            later = operation.invoked_ns >= (begin + end) / 2
            halves[operation.name][later].append(operation.duration_ms or 0.0)
            answered[later] += 1
    weighted = [
        (math.log(median(first) / median(second)), len(first) + len(second))
        for first, second in halves.values()
        if len(first) >= FEWEST_STEPS and len(second) >= FEWEST_STEPS
    ]
    total = sum(weight for _, weight in weighted)
    latency = math.exp(sum(log * weight for log, weight in weighted) / total) if total else math.nan
    rate = answered[0] / answered[1] if answered[1] else math.nan
    return Gate(
        name="warm-up settled",
        limit=f"rate and medians of the halves within {DRIFT_LIMIT - 1:.0%}",
        measured=f"first half: {rate:.2f} times the rate, {latency:.2f} times the medians"
        if total
        else "too few samples",
        passed=bool(total) and all(1 / DRIFT_LIMIT <= r <= DRIFT_LIMIT for r in (rate, latency)),
        remedy="Use --profile full, which warms up for longer, on a quiet machine.",
    )


def _retries(record: Record) -> Gate:
    retried = [o for o in measured(record) if o.retries]
    said = ", ".join(sorted({answer for o in retried for answer in o.retries}))
    return Gate(
        name="no answer hidden by a retry",
        limit="0 calls sent again",
        measured=f"{len(retried)} ({said[:120]})" if retried else "0",
        passed=not retried,
        remedy="Find the reason for those answers in the tracking server's log.",
    )


def _users(record: Record) -> Gate:
    ended = record.other.get("user_ended", [])
    return Gate(
        name="users alive to the end",
        limit="no user process ended early",
        measured=f"{len(ended)} ended early" if ended else "all",
        passed=not ended,
        remedy="See users.log of the run.",
    )


def _restarts(record: Record) -> Gate:
    looks = record.other.get("server", [])
    seen = [look["processes"] for look in looks]
    known = len(seen) == 2 and None not in seen
    gone = (
        {f"{name} {pid}" for name in seen[0] for pid in seen[0][name]}
        - {f"{name} {pid}" for name in seen[1] for pid in seen[1][name]}
        if known
        else set()
    )
    return Gate(
        name="no server process restarted",
        limit="the same processes before and after",
        measured=(f"gone: {', '.join(sorted(gone))}" if gone else "the same")
        if known
        else "not seen: the servers' processes are not in Docker containers of this machine",
        passed=not gone if known else None,
        remedy="Find the reason in the tracking server's log; memory is the usual one.",
    )


def _samples_in(record: Record) -> list[dict[str, Any]]:
    begin, end = window_ns(record)
    return [s for s in record.other.get("sample", []) if begin <= s["mono_ns"] < end]
