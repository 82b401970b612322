"""Is everything that was acknowledged still there, in every place that holds it?

Sets per kind, after Jepsen's `set` checker: attempted, acknowledged, present, lost (acknowledged
and absent from a source that was read), recovered (not acknowledged and present), unexpected
(present and never attempted), duplicates, orphans (recovered creates: no client knows them),
differing (there in one source and not, or otherwise,
in another), and unread. `durability.sql` compares, this gives it its terms and words what it finds.

Things are compared in two ways:

- *written once* (runs, parameters, metric points, models, data sets): owner, key and value are
  the thing, and each acknowledged one has to be in every source;
- *overwritten* (tags, statuses, fields, artifacts): owner and key are the thing, and its value has
  to be one that could be the last: of a write that no acknowledged one definitely followed. That
  nothing is there is a value, too: what a deletion asks for. Of a metric's points MLflow shows
  that of the highest step, then of the latest time, then of the highest value, NaN counting as 0
  (`_update_latest_metrics_if_necessary` in mlflow/store/tracking/sqlalchemy_store.py, 3.17).

What was deleted with all that it had has to be gone, of both sorts.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from workloads.checkers.timeline import Timeline, timeline_of
from workloads.history import evaluation_effects
from workloads.history.effects import RENAMED, RUN_NAME
from workloads.history.history import Kind
from workloads.history.tables import Tables, rows
from workloads.verdict.result import Durability, DurabilityVerdict, KindSets

MOST_FINDINGS = 1000

CREATED = frozenset({Kind.RUN, Kind.MODEL, Kind.VERSION, Kind.ASSESSMENT, Kind.EVALUATION_DATASET})

TOKENED = CREATED - {Kind.MODEL}
"""Created under a key of their own, so that what has the same key is the same thing again."""

OVERWRITTEN = frozenset(
    {
        Kind.TAG,
        Kind.STATUS,
        Kind.FIELD,
        Kind.ARTIFACT,
        Kind.ALIAS,
        Kind.REGISTERED,
        Kind.LATEST,
        Kind.MODEL_METRIC,
        Kind.TRACE,
        Kind.SPAN,
        Kind.LINK,
        Kind.RECORD,
    }
)

LOGGED_MODELS = (Kind.TAG, "mlflow.log-model.history")
"""Tag of what `runs/log-model` says, which the server puts together."""

FIRST_KEPT = frozenset({(Kind.FIELD, evaluation_effects.SOURCE), (Kind.FIELD, "request_time")})
"""Of several values the server keeps the first; of a trace's times the earliest."""

SERVER_CHOOSES = frozenset(
    {
        (Kind.FIELD, "name"),
        (Kind.FIELD, "start_time"),
        (Kind.FIELD, "user_id"),
        (Kind.TAG, RUN_NAME),
        LOGGED_MODELS,
    }
)
"""What a server gives to a thing by itself, where nobody asked for another value."""

DERIVED = frozenset(
    {
        (Kind.FIELD, "state"),
        (Kind.FIELD, "request_time"),
        (Kind.FIELD, "request_preview"),
        (Kind.FIELD, "response_preview"),
        (Kind.FIELD, "metadata.mlflow.trace.session"),
        (Kind.FIELD, "metadata.mlflow.trace.user"),
        (Kind.FIELD, "metadata.mlflow.trace.infoFinalized"),
        (Kind.TAG, "mlflow.artifactLocation"),
        (Kind.TAG, "mlflow.trace.spansLocation"),
        (Kind.TAG, "mlflow.trace.archiveLocation"),
        (Kind.TAG, "mlflow.trace.archivalFailure"),
    }
)
"""The same of a trace: what it makes of spans, and says of where they are."""

STAGED_BY = frozenset({"POST experiments/delete", "POST experiments/restore"})
"""Routes that delete and restore all runs of an experiment with it, which is not audited."""

_COMPARE = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")

_SENT = "sent.id as op, sent.user, sent.name, sent.replica, sent.invoked_ns, sent.completed_ns"

_WRITTEN_ONCE = f"""
    select thing.*, {_SENT}, (
        select list(distinct held.value order by held.value) from held
        where what = 'lost' and held.kind = thing.kind and held.owner = thing.owner
            and held.key = thing.key and held.seen & thing.absent <> 0
    ) as others
    from written_once thing left join operation sent
        on sent.number = if(what = 'not deleted', deleted_by, acknowledged_by)
    where what in ('lost', 'not deleted', 'unexpected') or differs or (copies > 1 and seen <> 0)
    order by list_position(getvariable('kinds'), kind), thing.number, thing.owner, thing.key, value
"""

_OVERWRITTEN = f"""
    with bad as (
        from overwritten where what = 'lost' or differs or copies > 1 or unexpected > 0
    ), items as (
        select kind, owner, key, list({{
            'value': value, 'seen': seen, 'copies': copies, 'unexpected': unexpected
        }} order by value) as items
        from item semi join bad using (kind, owner, key) group by kind, owner, key
    )
    select bad.*, {_SENT}, coalesce(items, []) as items
    from bad left join operation sent on sent.number = acknowledged_by
    left join items using (kind, owner, key)
    order by list_position(getvariable('kinds'), kind), bad.number
"""


def judge(tables: Tables, until_ns: int | None = None) -> Durability:
    """Compare what a run attempted with what was read.

    With `until_ns`, of the Unix clock, what was acknowledged later may be there or not, as in a
    backup that was taken then; an artifact may also be there without its run.
    """
    timeline = timeline_of(tables)
    not_audited = _compare(tables, None if until_ns is None else until_ns - timeline.offset_ns)
    counted = {row.pop("kind"): KindSets(**row) for row in rows(tables, "from counts")}
    kinds = {kind.value: counted[kind] for kind in Kind if kind in counted}
    return Durability(
        verdict=_verdict(kinds),
        kinds=kinds,
        findings=_first(_Words(tables, timeline).findings()),
        read_errors=_first(_read_errors(tables)),
        sources=[row["name"] for row in rows(tables, "from source where not failed order by name")],
        not_read=[
            row["not_done"]
            for row in rows(
                tables,
                "select not_done from readback where not_done is not null group by 1 "
                "order by min(rowid)",
            )
        ],
        not_audited=not_audited,
    )


def _compare(tables: Tables, until_ns: int | None) -> dict[str, int]:
    """Fill the tables of `durability.sql`; returns acknowledged writes of unknown effect."""
    after = "completed_ns > getvariable('until_ns')"
    tables.execute("set variable until_ns = $1::bigint", [until_ns])
    not_audited = {
        row["route"]: row["count"]
        for row in rows(
            tables,
            f"""
            select route, count(*) as count
            from (select unnest(not_audited) as route from operation
                  where outcome = 'ok' or {after})
            group by route order by route
            """,
        )
    }
    for name, value in {
        "kinds": [kind.value for kind in Kind],
        "created": sorted(CREATED),
        "tokened": sorted(TOKENED),
        "overwritten": sorted(OVERWRITTEN),
        "server_chooses": sorted(f"{kind}/{key}" for kind, key in SERVER_CHOOSES | DERIVED),
        "first_kept": sorted(f"{kind}/{key}" for kind, key in FIRST_KEPT),
        "overrides": evaluation_effects.OVERRIDES,
        "valid": evaluation_effects.VALID,
        "derived": sorted(f"{kind}/{key}" for kind, key in DERIVED),
        "renamed": RENAMED,
        "staged": bool(STAGED_BY & not_audited.keys()),
    }.items():
        tables.execute(f"set variable {name} = $1", [value])
    tables.execute(_COMPARE)
    return not_audited


class _Words:
    """Says what was found, thing by thing."""

    def __init__(self, tables: Tables, timeline: Timeline) -> None:
        self._tables = tables
        self._timeline = timeline
        self._sources = {row["name"]: 1 << row["number"] for row in rows(tables, "from source")}
        self._several = len(self._sources) > 1

    def findings(self) -> Iterator[str]:
        """Yield a sentence for each thing that is not as it has to be."""
        for row in rows(self._tables, _WRITTEN_ONCE):
            yield from self._written_once(row)
        for row in rows(self._tables, "from made_again order by kind, number"):
            ids = row["ids"]
            yield (
                f"duplicate: {row['kind']} {row['key']} was made {len(ids)} times: {', '.join(ids)}"
            )
        for row in rows(self._tables, "from orphan order by kind, number"):
            ids = ", ".join(row["ids"])
            yield f"orphan: {row['kind']} {ids} ({row['key']}) was made, and no client was told"
        for row in rows(self._tables, _OVERWRITTEN):
            yield from self._overwritten(row)
        for row in rows(self._tables, "from stranger order by all"):
            yield self._unexpected(row, row["value"], row["sources"])

    def _written_once(self, row: dict[str, Any]) -> Iterator[str]:
        value, seen, absent = row["value"], row["seen"], row["absent"]
        thing = _thing(row, value)
        if row["what"] == "lost":
            yield self._lost(row, thing, seen, absent, row["others"] or [])
        elif row["what"] == "not deleted":
            yield self._lost(row, f"deletion of {thing}", absent, seen, None)
        elif row["what"] == "unexpected":
            yield self._unexpected(row, value, seen)
        elif row["differs"]:
            present, gone = self._names(seen), self._names(absent)
            yield f"differs: {thing}: present in {present}, absent in {gone}"
        if row["copies"] > 1 and seen:
            yield f"duplicate: {thing} is there {row['copies']} times"

    def _overwritten(self, row: dict[str, Any]) -> Iterator[str]:
        kind, key, owner, items = row["kind"], row["key"], row["owner"], row["items"]
        if row["what"] == "lost":
            instead = [item["value"] for item in items if item["seen"] & row["absent"]]
            if row["value"] is None:
                thing = f"deletion of {_thing(row, next(iter(instead), None))}"
                yield self._lost(row, thing, row["seen"], row["absent"], None)
            else:
                thing = _thing(row, row["value"])
                yield self._lost(row, thing, row["seen"], row["absent"], instead)
        for item in items:
            if item["unexpected"]:
                yield self._unexpected(row, item["value"], item["seen"])
        if row["copies"] > 1:
            yield f"duplicate: {kind} {key} of {owner} has {row['copies']} values"
        if row["differs"] and row["what"] != "lost":
            each = ", ".join(
                f"{name} has {_short(items, bit)}"
                for name, bit in sorted(self._sources.items())
                if row["readers"] & bit
            )
            yield f"differs: {kind} {key} of {owner}: {each}"

    def _lost(
        self, row: dict[str, Any], thing: str, present: int, absent: int, instead: list[str] | None
    ) -> str:
        """Say who has it and who has not; `instead` None: it was deleted, and is there."""
        at_ns = row["completed_ns"] or row["invoked_ns"]
        when, faults = self._timeline.when(at_ns), self._timeline.faults_at(at_ns)
        replica = f"by {row['replica']} " if row["replica"] else ""
        if instead is None:
            state = "it is there" + (f" in {self._names(absent)}" if self._several else "")
        else:
            state = f"instead: {', '.join(instead)[:80]}" if instead else "nothing is there"
            if self._several:
                state += f": absent in {self._names(absent)}"
                state += f", present in {self._names(present)}" if present else ""
        return (
            f"lost: {thing}, acknowledged {when} {replica}to user {row['user']} by {row['name']} "
            f"({row['op']}){', ' if faults else ''}{faults}; {state}"
        )

    def _unexpected(self, row: dict[str, Any], value: str, sources: int) -> str:
        where = f"; found in {self._names(sources)}" if self._several else ""
        return f"unexpected: {_thing(row, value)} was never attempted{where}"

    def _names(self, sources: int) -> str:
        return ", ".join(sorted(name for name, bit in self._sources.items() if sources & bit))


_OWNERS = (
    ("m-", "model", "model"),
    ("mlflow-bench-", "model", "model"),
    ("prompts:/", "prompt", "prompt"),
    ("tr-", "trace", "assessment"),
    ("d-", "data set", "record"),
)
"""How ids begin, and what has such an id, or one below it."""


def _thing(row: dict[str, Any], value: str | None) -> str:
    kind, owner, key = row["kind"], row["owner"], row["key"]
    if kind in CREATED:
        return f"{kind} {value} ({key})"
    if kind == Kind.TRACE:
        return f"trace {key} of experiment {owner}"
    if kind in (Kind.REGISTERED, Kind.ALIAS):
        return f"{kind} {key} = {value} of {owner}"
    where = "experiment" if owner.isdecimal() else "run"
    for begin, noun, below in _OWNERS:
        if owner.startswith(begin):
            where = below if "/" in owner else noun
    if value is None:
        return f"{kind} {key} of {where} {owner}"
    short = value if len(value) <= 60 else value[:57] + "…"
    return f"{kind} {key} = {short} of {where} {owner}"


def _short(items: list[dict[str, Any]], source: int) -> str:
    """Return the values that a source has at a place."""
    values = [
        item["value"] for item in items if item["seen"] & source for _ in range(item["copies"])
    ]
    return ", ".join(values)[:40] or "nothing"


def _read_errors(tables: Tables) -> Iterator[str]:
    """Say what could not be read, with its source where there are several."""
    failed = """
        select name, kind, owner, error, unread from readback join source on name = source
        where error is not null or cardinality(unread) > 0 order by number, readback.rowid
    """
    [(several,)] = tables.execute("select count(*) > 1 from source").fetchall()
    for row in rows(tables, failed):
        of = f"{row['name']}: " if several else ""
        if row["kind"] is None:
            yield f"{of}{row['error']}"
        elif row["error"] is not None:
            yield f"{of}{row['kind']} of {row['owner']}: {row['error']}"
        else:
            for key, error in row["unread"].items():
                yield f"{of}{row['kind']} {key} of {row['owner']}: {error}"


def _first(sentences: Iterator[str]) -> list[str]:
    first = list(islice(sentences, MOST_FINDINGS))
    more = sum(1 for _ in sentences)
    return [*first, f"… and {more} more"] if more else first


def _verdict(kinds: dict[str, KindSets]) -> DurabilityVerdict:
    if any(k.lost or k.unexpected or k.duplicates or k.differing for k in kinds.values()):
        return DurabilityVerdict.FAIL
    if any(k.unread for k in kinds.values()) or not any(k.acknowledged for k in kinds.values()):
        return DurabilityVerdict.UNKNOWN
    return DurabilityVerdict.PASS
