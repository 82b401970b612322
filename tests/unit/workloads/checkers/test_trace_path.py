"""What becomes of traces around a fault, from exports and samples written by hand."""

from typing import Any

import pytest

from tests.unit.workloads.builders import S, fault
from workloads.checkers import objectives
from workloads.checkers.availability import Call
from workloads.checkers.trace_path import A_TRACE, Traces, Unsent, figures, restored_s
from workloads.verdict.result import FaultFigures, Resilience

BEFORE = 10
"""What waits in clients while nothing is wrong."""


def known(
    waiting: list[int], exports: list[Call] | None = None, dropped: tuple[dict[str, Any], ...] = ()
) -> Traces:
    """One process, of which this many spans wait in each second from 0 s on."""
    samples = [(second * S + S // 2, number) for second, number in enumerate(waiting)]
    return Traces(exports or [], Unsent({0: samples}), [*dropped], 1.5 * BEFORE + A_TRACE)


def dropped_at(at_s: float, count: int = 1, spans: int = 5, what: str = "spans") -> dict[str, Any]:
    return {"mono_ns": int(at_s * S), "what": what, "count": count, "spans": spans, "why": "full"}


GOOD, FULL = [BEFORE], [200]


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (GOOD * 12, 0),
        (FULL * 3 + GOOD * 10, 3),
        (FULL * 3 + GOOD * 9, None),
        (GOOD * 9 + FULL + GOOD * 10, 10),
        ([25] * 10, 0),  # half more than before, and a trace
        ([26] * 10, None),
    ],
)
def test_traces_arrive_again_when_what_waited_has_been_sent(
    waiting: list[int], expected: float | None
) -> None:
    assert restored_s(known(waiting), 0, len(waiting) * S, S) == expected


def test_a_second_in_which_an_export_failed_is_not_a_good_one() -> None:
    exports = [Call(S, 2 * S, True), Call(2 * S, None, False), Call(4 * S, 5 * S, False)]
    assert restored_s(known(GOOD * 15, exports=exports), 0, 15 * S, S) == 5


def test_a_second_in_which_something_was_dropped_is_not_a_good_one() -> None:
    assert restored_s(known(GOOD * 14, dropped=(dropped_at(3.2),)), 0, 14 * S, S) == 4


def test_it_goes_on_until_the_fault_is_healed() -> None:
    waiting = GOOD * 12 + FULL * 2 + GOOD * 10
    assert restored_s(known(waiting), 0, 24 * S, 11 * S) == 0
    assert restored_s(known(waiting), 0, 24 * S, 13 * S) == 14


def test_what_waits_is_of_all_processes_and_one_that_says_nothing_has_not_sent() -> None:
    both = Unsent({0: [(S // 2, 3), (3 * S + 1, 0)], 1: [(S + 1, 4), (S + 2, 9), (2 * S, 1)]})
    assert both.most(0, 4 * S) == [3, 12, 4, 1]
    assert both.most(2 * S, 4 * S) == [4, 1]


def test_exports_count_until_all_arrives_and_later_ones_that_went_wrong() -> None:
    exports = [
        Call(S // 2, 8 * S, True, ("HTTP 502", "HTTP 502")),
        Call(S, None, False),
        Call(4 * S, 5 * S, True),  # as before: of it nothing is told
        Call(12 * S, 13 * S, True, ("Connection refused",)),
    ]
    dropped = (dropped_at(1, 2, 10), dropped_at(2, 3, 0, "trace"), dropped_at(99, 1, 4))
    made = known(FULL * 3 + GOOD * 17, exports=exports, dropped=dropped)
    for last, spans in ((False, 10), (True, 14)):
        found = figures(made, 0, 20 * S, 2 * S, last=last, limit_s=20)
        assert (found.exports, found.failed, found.succeeded_after_retry) == (3, 1, 2)
        assert (found.dropped_spans, found.dropped_traces) == (spans, 3)
        assert found.dropped_exports == 5 + last
        assert (found.recovered_s, found.recovery_time_s, found.most_unsent) == (3, 1, 200)
        assert found.client_errors == {"HTTP 502": 2, "Connection refused": 1}


def judged(**changes: Any) -> list[tuple[bool | None, str]]:
    """What the objectives say of a fault whose exports were as these figures have it."""
    traces: dict[str, Any] = {
        "exports": 100,
        "failed": 0,
        "succeeded_after_retry": 3,
        "dropped_exports": 0,
        "dropped_spans": 0,
        "dropped_traces": 0,
        "client_errors": {"HTTP 502": 3},
        "most_unsent": 40,
        "recovered_s": 8,
        "recovery_time_s": 4,
        "recovery_time_limit_s": 20,
    }
    one = FaultFigures.model_validate(fault() | {"traces": traces | changes})
    found = objectives.broken(
        Resilience(baseline_rate=20, baseline_p95_ms=20, faults=[one], gates=[])
    )
    return [(outcome.met, outcome.message) for outcome in found]


def test_traces_that_all_arrive_again_in_time_meet_the_objectives() -> None:
    assert judged() == []
    assert judged(failed=5, dropped_exports=5) == []


def test_what_clients_drop_counts_as_failed() -> None:
    [(met, said)] = judged(failed=6, dropped_exports=25, dropped_spans=125)
    assert met is False
    assert said == (
        "replica-kill (some-1): of 125 exports of traces 6 failed and clients dropped 25; the "
        "objective allows 10%. No program hears of it. Clients saw: HTTP 502 3 times."
    )


def test_traces_that_arrive_late_or_not_again_are_missed() -> None:
    [(met, said)] = judged(recovery_time_s=21.5)
    assert met is False
    assert "all traces arrived again only 21.5 s after it was healed" in said
    [(met, said)] = judged(recovered_s=None, recovery_time_s=None)
    assert met is False
    assert "up to 40 spans and traces waited in clients, and not all arrived again" in said
