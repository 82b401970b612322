"""What may be concluded from the figures: the gates of a run, after the project's method.

The generator's own gates are one-sided (`Gate.one_sided`): a generator that is late can only make
a server look worse. Their limits follow the objective: what is a twentieth of it decides nothing.

How gates apply where the client computes by nature, as trainers do:

- *Client CPU* is what calls take of a core, not the model fits between them: those belong to the
  step and delay no call, since each user has a process of its own. Of users that do not compute
  it is all that their process takes.
- *Loop lag* counts while a call waits, for the same reason.
- *Settled*: three thirds of 5 s or more within 10 % are made for a steady rate of like requests.
  Five seconds hold only a few training steps of three kinds, whose number differs more than that
  by chance: there the first and the second half are compared, the rate and the medians of the
  same calls, within 25 % in all. The short stages of a climb have no such gate: the interval of
  their rate says how steady it was. Of an open load the rate is given; there the medians decide,
  and whether the answers kept up is the latency's to say. Medians of few calls differ by more
  than that by chance alone: a difference counts that a shuffle of the calls between the halves
  reaches in less than one case of twenty (a permutation
  test: Good, "Permutation, Parametric and Bootstrap Tests of Hypotheses").
"""

import math

import numpy as np
from numpy.typing import NDArray

from workloads.history.record import NEVER, Record, Rows, Window, durations_ms
from workloads.plan.plan import Load, Plan
from workloads.verdict.figures import lags_ms, timed
from workloads.verdict.result import Gate

CPU_LIMIT = 0.7
LAG_LIMIT_MS = 20.0
SCHEDULE_LIMIT_MS = 10.0
OF_OBJECTIVE = 0.05
"""Share of the objective's p95 up to which lateness decides nothing."""
HEADROOM = 2.0
DRIFT_LIMIT = 1.25
CHANCE = 0.05
SHUFFLES = 400
WINDOW_S = 5.0
WINDOWS = 3
WINDOW_LIMIT = 1.10
TOGETHER = 0.8
FEWEST_CALLS = 200
FEWEST_STEPS = 3
FEWEST_UNLIKE = 20
"""Calls below which there is no p95; what more of them tell is in its interval."""


def run_gates(record: Record) -> list[Gate]:
    """Gates of the whole run, with limits and what was measured."""
    return [_complete(record), _users(record)]


def stage_gates(record: Record, window: Window) -> list[Gate]:
    """Gates of one stage."""
    calls = record.of_type(record.within(window), "call")
    gates = [samples(record, window), _cpu(record, window), _lag(record, window)]
    if window.stage.load is Load.BURST:
        gates.append(_together(calls, window))
    elif window.stage.load is Load.OPEN or not _climbs(record):
        gates.append(_settled(record, window, calls))
    if window.stage.load is Load.OPEN:
        gates.append(_schedule(record.plan, calls))
    if not record.plan.computes:
        gates.append(_ceiling(record, window))
    return gates


def ceiling(record: Record) -> float | None:
    """Calls/s of the generator against a server that does nothing; None: not taken."""
    taken = record.other.get("ceiling", [])
    return float(taken[-1]["rate"]) if taken else None


def limited(record: Record, window: Window) -> bool:
    """Whether the generator could hardly have sent more calls."""
    gates = (_cpu(record, window), _ceiling(record, window))
    return any(gate.passed is False for gate in gates)


def nice(record: Record) -> int | None:
    """Highest nice value of the generator's processes while they call; None: not recorded."""
    return max((int(line["nice"]) for line in record.other.get("priority", [])), default=None)


def generator_delay_ms(record: Record, window: Window) -> float | None:
    """What the generator itself may have added to a response time, p99, in ms; None: not known."""
    lags = _loop_lags(record, window)
    if not lags:
        return None
    late = float(np.percentile(lags, 99))
    if window.stage.load is Load.OPEN:
        idle = _idle_lags(record.of_type(record.within(window), "call"))
        late += float(np.percentile(idle, 99)) if len(idle) else 0.0
    return late


def _climbs(record: Record) -> bool:
    return sum(window.stage.load is Load.CLOSED for window in record.windows) > 1


def _loop_lags(record: Record, window: Window) -> list[float]:
    return [lag for sample in record.lines("sample", window) for lag in sample["lag_ms"]]


def _idle_lags(calls: Rows) -> NDArray[np.float64]:
    """How late calls began in ms, of those for which a user was free at the planned time.

    A call whose time had come while every user was busy waits for the server, not for the
    generator: it is in the time from the planned begin on, and in no lag.
    """
    lags = lags_ms(calls)
    idle: NDArray[np.float64] = lags[~calls[calls["planned"] != NEVER]["queued"]]
    return idle


def _limit_ms(plan: Plan, least: float) -> float:
    """Lateness up to which nothing is decided by it, in ms: it follows what is judged."""
    return max(least, OF_OBJECTIVE * plan.objectives.p95_ms)


def _complete(record: Record) -> Gate:
    early = record.ended_early is not None
    whole = record.finished and not record.interrupted and not early
    return Gate(
        name="run complete",
        limit="load phase to its end",
        measured="ended early" if early else "complete" if whole else "interrupted",
        passed=whole,
        remedy=f"Run it again {'without --fail-fast' if early else 'to the end'}.",
    )


def samples(record: Record, window: Window) -> Gate:
    """Whether there are enough calls for a p95, and of trainers enough steps of each kind."""
    rows = record.within(window)
    calls = record.of_type(rows, "call")
    planned = len(calls) + record.dropped(window)
    fewest = FEWEST_CALLS if record.plan.computes else FEWEST_UNLIKE
    if window.stage.load is Load.BURST:
        fewest = max(FEWEST_UNLIKE, 2 * window.stage.users)
    if not record.plan.computes:
        return Gate(
            name="enough samples",
            limit=f"≥ {fewest} calls",
            measured=f"{planned} calls",
            passed=planned >= fewest,
            remedy="Give more time with --duration, or find out why the server is so slow.",
        )
    steps = [len(group) for type_, _, group in record.by_name(rows) if type_ == "step"]
    least = min(steps, default=0)
    return Gate(
        name="enough samples",
        limit=f"≥ {fewest} calls, ≥ {FEWEST_STEPS} steps of each kind",
        measured=f"{len(calls)} calls, {least} steps",
        passed=len(calls) >= fewest and least >= FEWEST_STEPS,
        remedy="Use --profile full, or find out why the server is so slow.",
    )


def _cpu(record: Record, window: Window) -> Gate:
    spent = "call_cpu_s" if record.plan.computes else "cpu_s"
    shares = [s[spent] / s["span_s"] for s in record.lines("sample", window)]
    worst = max(shares, default=math.nan)
    return Gate(
        name="client CPU in calls" if record.plan.computes else "generator CPU",
        limit=f"≤ {CPU_LIMIT:.0%} of a core in any second, of each process",
        measured=f"{worst:.0%} at most" if shares else "no samples",
        passed=bool(shares) and worst <= CPU_LIMIT,
        remedy="The generator is the limit: use a faster machine for it, or fewer users.",
        one_sided=True,
    )


def _lag(record: Record, window: Window) -> Gate:
    lags = _loop_lags(record, window)
    limit = _limit_ms(record.plan, LAG_LIMIT_MS)
    p99 = float(np.percentile(lags, 99)) if lags else math.nan
    return Gate(
        name="loop lag while a call waits",
        limit=f"p99 ≤ {limit:.0f} ms",
        measured=f"p99 {p99:.1f} ms of {len(lags)} samples" if lags else "no samples",
        passed=bool(lags) and p99 <= limit,
        remedy="This machine is too busy to measure: end other work on it, or use fewer users.",
        one_sided=True,
    )


def _schedule(plan: Plan, calls: Rows) -> Gate:
    idle = _idle_lags(calls)
    limit = _limit_ms(plan, SCHEDULE_LIMIT_MS)
    p99 = float(np.percentile(idle, 99)) if len(idle) else math.nan
    return Gate(
        name="schedule lag",
        limit=f"p99 ≤ {limit:.0f} ms",
        measured=f"p99 {p99:.1f} ms of {len(idle)} calls"
        if len(idle)
        else "every user was busy whenever a call was due: the server's doing",
        passed=p99 <= limit if len(idle) else None,
        remedy="The generator was late: end other work on this machine, or plan a lower rate.",
        one_sided=True,
    )


def _settled(record: Record, window: Window, calls: Rows) -> Gate:
    alike = window.stage.load is Load.CLOSED and not record.plan.computes
    if alike and window.seconds >= WINDOW_S * WINDOWS:
        return _steady(window, calls)
    return _halves(record, window, calls)


def _steady(window: Window, calls: Rows) -> Gate:
    """Compare the rates of the three thirds."""
    good = calls[calls["ok"]]
    edges = np.linspace(window.begin_ns, window.end_ns, WINDOWS + 1)
    counts, _ = np.histogram(good["invoked"], bins=edges)
    each_s = window.seconds / WINDOWS
    ratio = float(counts.max() / counts.min()) if counts.min() else math.inf
    return Gate(
        name="warm-up settled",
        limit=f"rates of the {WINDOWS} thirds within {WINDOW_LIMIT - 1:.0%}",
        measured=" ".join(f"{count / each_s:.1f}/s" for count in counts),
        passed=ratio <= WINDOW_LIMIT,
        remedy="Use --profile full, which warms up for longer, on a quiet machine.",
    )


def _halves(record: Record, window: Window, calls: Rows) -> Gate:
    if record.dropped(window):
        return Gate(
            name="warm-up settled",
            limit="answers that keep up with the plan",
            measured="they did not: calls were never sent, which is the server's doing",
            passed=None,
            remedy="Plan a lower rate.",
        )
    middle = (window.begin_ns + window.end_ns) / 2
    groups: list[Halves] = []
    answered = [0, 0]
    for _, _, rows in record.by_name(timed(calls)):
        later = rows["invoked"] >= middle
        halves = durations_ms(rows[~later]), durations_ms(rows[later])
        answered[0] += len(halves[0])
        answered[1] += len(halves[1])
        if min(map(len, halves)) >= FEWEST_STEPS:
            groups.append(halves)
    total = bool(groups)
    drift = math.exp(_log_drift(groups)) if total else math.nan
    chance = _chance(groups) if total and not _near(drift) else 1.0
    rate = answered[0] / answered[1] if answered[1] else math.nan
    closed = window.stage.load is Load.CLOSED
    what = f"{rate:.2f} times the rate, " if closed else ""
    return Gate(
        name="warm-up settled",
        limit=f"{'rate and ' if closed else ''}medians of the halves within {DRIFT_LIMIT - 1:.0%}",
        measured=f"first half: {what}{drift:.2f} times the medians{_by_chance(drift, chance)}"
        if total
        else "too few samples",
        passed=total and (_near(rate) or not closed) and (_near(drift) or chance >= CHANCE),
        remedy="Use --profile full, which warms up for longer, on a quiet machine.",
    )


Halves = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Times of like calls, of the first half of a stage and of the second."""


def _near(ratio: float) -> bool:
    return 1 / DRIFT_LIMIT <= ratio <= DRIFT_LIMIT


def _log_drift(groups: list[Halves]) -> float:
    """Mean logarithm of the ratios of the halves' medians, weighted by the number of calls."""
    logs = [math.log(float(np.median(first) / np.median(second))) for first, second in groups]
    return float(np.average(logs, weights=[len(first) + len(second) for first, second in groups]))


def _chance(groups: list[Halves]) -> float:
    """Share of shuffles of the calls between the halves with as large a difference."""
    draw = np.random.default_rng(0)  # the same verdict whenever a run is judged
    seen = abs(_log_drift(groups))
    reached = 0
    for _ in range(SHUFFLES):
        shuffled = []
        for first, second in groups:
            mixed = draw.permutation(np.concatenate([first, second]))
            shuffled.append((mixed[: len(first)], mixed[len(first) :]))
        reached += abs(_log_drift(shuffled)) >= seen
    return (reached + 1) / (SHUFFLES + 1)


def _by_chance(drift: float, chance: float) -> str:
    return "" if _near(drift) else f", by chance in {chance:.0%} of shuffles"


def _together(calls: Rows, window: Window) -> Gate:
    """How many calls were in flight at the fullest moment of the median burst."""
    peaks = []
    for planned in np.unique(calls["planned"][calls["planned"] != NEVER]):
        burst = calls[calls["planned"] == planned]
        begins = burst["invoked"]
        ends = np.where(burst["completed"] == NEVER, np.iinfo(np.int64).max, burst["completed"])
        peaks.append(max(int(((begins <= t) & (ends > t)).sum()) for t in begins))
    typical = float(np.median(peaks)) if peaks else 0.0
    return Gate(
        name="calls at once",
        limit=f"≥ {TOGETHER:.0%} of the users' calls in flight together",
        measured=f"{typical:.0f} of {window.stage.users} in the median of {len(peaks)} bursts",
        passed=typical >= TOGETHER * window.stage.users,
        remedy="The generator sends too slowly for this many: use a faster machine, fewer users.",
    )


def _ceiling(record: Record, window: Window) -> Gate:
    most = ceiling(record)
    answered = record.of_type(record.answered(window), "call")
    rate = len(answered) / window.seconds if window.seconds else 0.0
    return Gate(
        name="generator's ceiling",
        limit=f"≥ {HEADROOM:.0f} times the rate, against a server that does nothing",
        measured="not taken" if most is None else f"{most:.0f} calls/s, rate {rate:.0f}/s",
        passed=most is not None and most >= HEADROOM * rate,
        remedy="The generator is too near its own limit: use a faster machine for it.",
        one_sided=True,
    )


def _users(record: Record) -> Gate:
    ended = record.other.get("user_ended", [])
    return Gate(
        name="users alive to the end",
        limit="no generator process ended early",
        measured=f"{len(ended)} ended early" if ended else "all",
        passed=not ended,
        remedy="See users.log of the run.",
    )
