"""Was everything asked for that a stack is there for: before, during and after each fault?

A fault in which nobody fetched a file says nothing of files. So each kind of operation has to have
been acknowledged before the fault, or nobody knows that it worked at all, and to have been tried
during it and after it. Whether it is answered then is not the load's doing but what the run is to
find out: no kind has to be acknowledged during the fault, and all of them have to be again for a
stack to be as before (`workloads.checkers.availability`). Those of traces are looked for where the
load has traces.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from workloads.verdict.result import Gate, KindFigures

BEGUN, ENDED, LOGGED, SEARCHED = "run begun", "run ended", "metrics logged", "runs searched"
STORED, FETCHED, REGISTERED = "file stored", "file fetched", "model registered"
SPANS_SENT, TRACE_SENT, TRACE_READ = "spans sent", "trace sent", "trace read"

GATE = "each kind of operation"

KINDS = (BEGUN, ENDED, LOGGED, SEARCHED, STORED, FETCHED, REGISTERED)

EXPORTED = (SPANS_SENT, TRACE_SENT)
"""Those that clients' exporters send, which no user waits for."""

OF_TRACES = (*EXPORTED, TRACE_READ)

_CALLS = {
    "POST runs/create": BEGUN,
    "POST runs/update": ENDED,
    "POST runs/log-batch": LOGGED,
    "POST runs/search": SEARCHED,
    "POST v1/traces": SPANS_SENT,
    "POST traces": TRACE_SENT,
}
_STEPS = {"upload": STORED, "download": FETCHED, "read": TRACE_READ}
"""By the first word of a step. Of a file it is the step that counts, as its first call asks the
server for the place; of a trace, as a first call that hangs keeps the others from being tried."""

_REGISTRY = ("registered-models", "model-versions")


@dataclass(frozen=True)
class Tried:
    """An operation of one of the kinds; times in ns, `ended` None: it never did."""

    kind: str
    begun: int
    ended: int | None
    ok: bool


def asked_for(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Kinds of a load with these parameters of the scenario."""
    return KINDS + (OF_TRACES if parameters.get("traces") else ())


def kind_of(type_: str, name: str) -> str | None:
    """Kind of an operation by its type and name; None: of none that is looked for."""
    first, _, rest = name.partition(" ")
    if type_ == "step":
        return _STEPS.get(first)
    if type_ == "call":
        return REGISTERED if rest.startswith(_REGISTRY) else _CALLS.get(name)
    return None


def figures(
    all_tried: list[Tried],
    since: int,
    begin: int,
    healed: int | None,
    end: int,
    among: Iterable[str] = KINDS,
) -> dict[str, KindFigures]:
    """Count each of these kinds before (from `since` on), during and after a fault; times in ns."""
    return {
        kind: KindFigures(
            acknowledged_before=_count(
                [one for one in own if one.ok and (one.ended or end) < begin], since, begin
            ),
            attempted=_count(own, begin, healed or end),
            acknowledged=_count([one for one in own if one.ok], begin, healed or end),
            attempted_after=_count(own, healed, end) if healed else 0,
            acknowledged_after=_count([one for one in own if one.ok], healed, end) if healed else 0,
        )
        for kind in among
        for own in [[one for one in all_tried if one.kind == kind]]
    }


def _count(own: list[Tried], since: int, until: int) -> int:
    return sum(since <= one.begun < until for one in own)


def gate(faults: Iterable[tuple[str, dict[str, KindFigures]]]) -> Gate:
    """Whether each fault, by name, had all of the kinds around it."""
    missing, least = [], []
    for fault, kinds in faults:
        for name, of in (
            ("before", "acknowledged_before"),
            ("during", "attempted"),
            ("after", "attempted_after"),
        ):
            counts = {kind: getattr(own, of) for kind, own in kinds.items()}
            if absent := [kind for kind, count in counts.items() if not count]:
                missing.append(f"{fault}: none {name} it of: {', '.join(absent)}")
            least.append(min(counts.values()))
    seen = f"{min(least)} of each at least" if least else "no fault was healed"
    return Gate(
        name=GATE,
        limit="one acknowledged before each fault, one tried during it and one after",
        measured="; ".join(missing) or seen,
        passed=bool(least) and not missing,
        remedy="Give more calls with --rate, or more time with --set fault_s=….",
    )
