"""Traces, their spans and what they are linked to, as PostgreSQL has them.

Tables and columns are those of mlflow/store/tracking/dbmodels/models.py, 3.17. What it keeps of
archived spans is all but their content, which is in the artifact store.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from workloads.history.history import Kind
from workloads.history.spans import value_of_content
from workloads.history.trace_effects import LINKED, MOST_METADATA, MOST_TAG, NAME_TAG, SESSION
from workloads.readback.attempted import Attempted
from workloads.readback.evaluation import Pairs, Row
from workloads.readback.lines import TRACE_KINDS

SCOPE = """
our_traces as (
    select request_id, experiment_id, status, timestamp_ms, client_request_id, request_preview,
        response_preview, to_jsonb(trace_info) ->> 'trace_name' as trace_name,
        to_jsonb(trace_info) ->> 'session_id' as session_id
    from trace_info
    where experiment_id = %(experiment)s or request_id = any(%(traces)s::text[])
)
"""
"""What the queries are about, as a part of a `with` clause.

Name and session are columns from 3.17 on: before, they are tags and metadata, and null here.
"""


def parameters(attempted: Attempted) -> dict[str, Any]:
    """Return what the queries have to be given beside what others have."""
    return {
        "traces": sorted(attempted.traces),
        "session": f"metadata.{SESSION}",
        "name_tag": NAME_TAG,
        "linked": LINKED,
        "most_metadata": MOST_METADATA,
        "most_tag": MOST_TAG,
    }


_QUERIES: tuple[tuple[Kind, str], ...] = (
    (
        Kind.TRACE,
        "select experiment_id::text, request_id, request_id from our_traces order by 1",
    ),
    (
        Kind.FIELD,
        """
        select request_id, key, field from (
            select request_id, key, field from our_traces, lateral (values
                ('state', status), ('request_time', timestamp_ms::text),
                ('client_request_id', client_request_id), ('request_preview', request_preview),
                ('response_preview', response_preview), (%(session)s, session_id)
            ) fields (key, field)
            union all
            select request_id, 'metadata.' || left(key, %(most_metadata)s),
                left(value, %(most_metadata)s)
            from trace_request_metadata join our_traces using (request_id)
        ) fields where field <> '' order by 1
        """,
    ),
    (
        Kind.TAG,
        """
        select request_id, key, value from (
            select request_id, key, left(value, %(most_tag)s) as value
            from trace_tags join our_traces using (request_id)
            union all
            select request_id, %(name_tag)s, left(trace_name, %(most_tag)s)
            from our_traces where trace_name is not null
        ) tags order by 1
        """,
    ),
    (
        Kind.SPAN,
        """
        select trace_id, trace_id, span_id, content
        from spans join our_traces on request_id = trace_id order by 1
        """,
    ),
    (
        Kind.LINK,
        """
        select destination_id, source_id, %(linked)s
        from entity_associations join our_traces on request_id = source_id
        where source_type = 'trace' and destination_type = 'run'
        order by 1
        """,
    ),
)
"""Kind, and the query for owner and what it has there, by owner."""


def queries(attempted: Attempted) -> Iterator[tuple[Kind, str, Pairs]]:
    """Yield kind, query, and what makes keys and values of its rows."""

    def span(row: Row) -> Iterator[tuple[str, str]]:
        trace_id, span_id, content = row
        sent = attempted.traces.get(trace_id, {}).get(span_id, ())
        if content:
            yield span_id, value_of_content(content, sent)
        else:  # archived: the row is there, and what it held is read where that is now
            yield span_id, (sent or ("archived",))[-1]

    for kind, query in _QUERIES:
        yield kind, query, span if kind is Kind.SPAN else _pair


def _pair(row: Row) -> Iterator[tuple[str, str]]:
    key, value = row
    yield key, value or ""


def places(
    experiment_id: str, attempted: Attempted, found: Mapping[Kind, set[str]]
) -> Iterator[tuple[tuple[Kind, ...], set[str]]]:
    """Yield kinds and the owners for which PostgreSQL was read for them."""
    yield (Kind.TRACE,), attempted.traced | {experiment_id}
    yield TRACE_KINDS, attempted.traces.keys() | found[Kind.TRACE]
    yield (Kind.LINK,), set(attempted.links)
