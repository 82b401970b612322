"""Why spans and traces are not there: dropped by the client, refused, given up, or lost.

A program never hears of any of it: MLflow's client and OpenTelemetry's send in the background. What
the client drops is in no call, and the audit of what was acknowledged says nothing of it, or of
what the server refused.
"""

from collections import Counter

from workloads.history.history import DROPPED, Kind
from workloads.history.tables import Tables, events, rows
from workloads.verdict.result import Durability, MissingSpans

_UNACKNOWLEDGED = """
    select kind, refused, count(*) as count from (
        select write.kind, write.owner, write.key,
            bool_and(coalesce(starts_with(operation.error, 'HTTP '), false)) as refused
        from write join operation on operation.number = write.number
        where write.kind in ('trace', 'span') and write.value is not null
        group by write.kind, write.owner, write.key
        having not bool_or(write.outcome = 'ok')
    ) group by kind, refused
"""
"""Things of which no attempt was acknowledged; refused: each was answered with an error."""


def judge(tables: Tables, kept: Durability) -> MissingSpans | None:
    """Count them; None: the run has no traces. Needs what `durability.judge` found."""
    spans: Counter[str] = Counter()
    traces: Counter[str] = Counter()
    for line in events(tables, DROPPED):
        spans[line["why"]] += line["spans"]
        if line["what"] == "trace":
            traces[line["why"]] += line["count"]
    if not (spans or traces or {Kind.TRACE, Kind.SPAN} & kept.kinds.keys()):
        return None
    found = list(rows(tables, _UNACKNOWLEDGED))
    refused = {row["kind"]: row["count"] for row in found if row["refused"]}
    given_up = {row["kind"]: row["count"] for row in found if not row["refused"]}
    lost = {kind: kept.kinds[kind].lost for kind in (Kind.SPAN, Kind.TRACE) if kind in kept.kinds}
    return MissingSpans(
        dropped_spans={why: count for why, count in spans.items() if count},
        dropped_traces=dict(traces),
        refused_spans=refused.get(Kind.SPAN, 0),
        refused_traces=refused.get(Kind.TRACE, 0),
        given_up_spans=given_up.get(Kind.SPAN, 0),
        given_up_traces=given_up.get(Kind.TRACE, 0),
        lost_spans=lost.get(Kind.SPAN, 0),
        lost_traces=lost.get(Kind.TRACE, 0),
    )


def said(missing: MissingSpans) -> str:
    """Return it in a sentence."""
    spans, traces = (sum(x.values()) for x in (missing.dropped_spans, missing.dropped_traces))
    whys = "; ".join(dict.fromkeys([*missing.dropped_spans, *missing.dropped_traces]))
    given_up = ""
    if missing.given_up_spans or missing.given_up_traces:
        given_up = (
            f"{missing.given_up_spans} spans and {missing.given_up_traces} traces that clients "
            "gave up, as no answer came; "
        )
    return (
        f"Not there: {spans} spans and {traces} traces' own data that clients dropped"
        f"{f', and told nobody ({whys})' if whys else ''}; "
        f"{missing.refused_spans} spans and {missing.refused_traces} traces that the server "
        f"refused; {given_up}{missing.lost_spans} spans and {missing.lost_traces} traces that it "
        "acknowledged and lost."
    )
