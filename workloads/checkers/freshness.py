"""Did reads during the load show what had been acknowledged before they began?

A register is read fresh when the value could have been there at some moment of the read: that of a
write that began before the read ended and that no acknowledged write, ended before the read began,
definitely followed (regularity, after Lamport, *On Interprocess Communication*). An older value is
*stale*; one that nobody had sent by then is *unexpected*. Writes that were sent more than once may
come again later, so an old value of theirs is no finding. What a read showed is in the history as
digests (`workloads.history.sightings`), so that this needs no server.

Only owners whose creation the history has are judged; of experiments and artifacts, what it says
was written. Memory is that of a part of the history, of the ids of its runs and of the lists of
them that were read.
"""

import json
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import groupby
from math import inf

from mlflow.prompt.constants import IS_PROMPT_TAG_KEY

from workloads.checkers.durability import CREATED, LOGGED_MODELS, SERVER_CHOOSES, STAGED_BY
from workloads.checkers.timeline import Timeline, timeline_of
from workloads.history.effects import RENAMED
from workloads.history.history import Kind
from workloads.history.sightings import SHOWS, digest, named, unpacked
from workloads.history.tables import Tables, rows
from workloads.verdict.result import Freshness

MOST_FINDINGS = 100

EXISTS = Kind.RUN
"""Kind of the register that says whether an owner is there, of whatever kind it is."""

THERE = "its creation"

WITHOUT_CREATION = frozenset({"experiment", "file", "files"})
"""Scopes that are judged by what was written alone, of owners that others may have made."""

OF_TRACES = frozenset({"trace", "spans"})
"""Scopes that have what a server adds, and whose owner may come again after it was deleted."""

_ONE_KEY = frozenset({"alias", "file"})

_REMOVES_FILES = frozenset({"DELETE artifact", "DELETE artifacts"})

_NOT_AUDITED = "select distinct unnest(not_audited) as route from operation"

_CALLER = """
    if(replica is null, '', 'through ' || replica || ' ')
        || 'by user ' || "user" || ' with ' || name || ' (' || id || ')'
"""

_READS = f"""
    select string_split(look[2], '/')[1] as root, look[2] as owner, look[1] as scope,
        look[3] as key, look[4] as packed, invoked_ns as invoked,
        coalesce(completed_ns, invoked_ns) as completed, {_CALLER} as caller
    from (select *, unnest(saw) as look from operation) where look[1] {{}} 'list'
"""

_WRITES = f"""
    with sent as (
        select write.*, len(retries) > 0 as again, {_CALLER} as caller,
            kind in {tuple(kind.value for kind in CREATED)} as creates,
            kind in ('{Kind.REGISTERED}', '{Kind.TRACE}') as registers,
            kind = '{Kind.DELETION}' as deletes
        from write join operation using (number) where write.outcome <> 'fail'
    )
    select number, invoked_ns as invoked, completed_ns as completed, again, caller,
        case
            when creates then created when registers then key else coalesce(owner, created)
        end as owner,
        if(creates or registers or deletes, '{EXISTS}', kind) as kind,
        if(creates or registers or deletes, '', key) as key,
        case
            when creates or (registers and value is not null) then '{THERE}'
            when not registers and not deletes then value
        end as value,
        if(deletes and key = '{RENAMED}', 'info', outcome) as outcome
    from sent
"""

_BY_ROOT = f"""
    with reads as (
        {_READS.format("<>")}
    ), writes as (
        select *, string_split(owner, '/')[1] as root from ({_WRITES}) where owner is not null
    )
    select root, owner, null as read, number,
        struct_pack(kind, key, value, invoked, completed, outcome, again, caller) as write
    from writes where root in (select root from reads)
    union all by name
    select root, owner, struct_pack(scope, key, packed, invoked, completed, caller) as read
    from reads
    order by root, number
"""
"""What was written to each owner and its versions, where any of them was read, then the reads."""

_RUNS = f"""
    select value::bigint as start, write.created as id, write.completed_ns as acknowledged,
        {_CALLER} as caller
    from write join operation using (number)
    where kind = '{Kind.FIELD}' and key = 'start_time' and owner is null
        and write.created is not null and write.completed_ns is not null and write.created not in (
            select owner from write
            where kind = '{Kind.FIELD}' and key = 'lifecycle_stage' and owner is not null
        )
    order by start, number
"""
"""Runs by their begin; those that were deleted or restored may be in a list or not."""


@lru_cache(maxsize=4096)
def _rank(point: str) -> tuple[int, int, float]:
    """Return the order of a point among those of its metric (see `workloads.checkers.durability`).

    MLflow shows the highest as the metric's value.
    """
    step, timestamp_ms, value = json.loads(point)
    return int(step), int(timestamp_ms), 0.0 if value == "NaN" else float(value)


@dataclass
class Sent:
    """A write, as far as it matters to a read; times in ns."""

    kind: Kind
    key: str
    value: str | None
    invoked: float
    completed: float | None
    outcome: str
    again: bool
    caller: str

    @property
    def acknowledged(self) -> bool:
        """Whether the server said that it was done."""
        return self.outcome == "ok" and self.completed is not None

    @property
    def end(self) -> float:
        """When it had taken effect at the latest."""
        if not self.acknowledged or self.again or self.completed is None:
            return inf
        return self.completed

    @cached_property
    def digest(self) -> int | None:
        """What stands for its value in a sighting."""
        return None if self.value is None else digest(self.kind, self.key, self.value)


@dataclass
class Read:
    """What a read showed of one owner."""

    scope: str
    key: str
    digests: frozenset[int] | None
    invoked: int
    completed: int
    caller: str


@dataclass(frozen=True)
class Finding:
    """What a read showed wrongly; `missed` is the acknowledged write that it did not show."""

    thing: str
    showed: str
    missed: Sent | None = None


class Register:
    """All writes to one place, for many reads."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.sent: list[Sent] = []

    @cached_property
    def _acknowledged(self) -> list[Sent]:
        known = (sent for sent in self.sent if sent.acknowledged)
        return sorted(known, key=lambda sent: sent.completed or 0)

    @cached_property
    def _ends(self) -> list[float]:
        return [sent.completed or 0 for sent in self._acknowledged]

    @cached_property
    def _last_begun(self) -> list[float]:
        """The latest begin of the first n acknowledged writes, for each n."""
        begins = [-inf]
        for sent in self._acknowledged:
            begins.append(max(begins[-1], sent.invoked))
        return begins

    @cached_property
    def _highest(self) -> list[tuple[int, int, float] | None]:
        """The highest rank of the first n acknowledged points, for each n."""
        ranks: list[tuple[int, int, float] | None] = [None]
        for sent in self._acknowledged:
            rank = _rank(sent.value or "")
            ranks.append(rank if ranks[-1] is None else max(ranks[-1], rank))
        return ranks

    @cached_property
    def _by_rank(self) -> list[tuple[tuple[int, int, float], Sent]]:
        ranked = [(_rank(sent.value or ""), sent) for sent in self.sent]
        return sorted(ranked, key=lambda one: one[0])

    def before(self, read: Read) -> list[Sent]:
        """Return the writes that were acknowledged before a read began."""
        return self._acknowledged[: bisect_left(self._ends, read.invoked)]

    def possible(self, read: Read) -> Iterator[Sent]:
        """Yield the writes whose value a read may have shown."""
        known = bisect_left(self._ends, read.invoked)
        if self.kind is Kind.LATEST:
            highest = self._highest[known]
            at = 0 if highest is None else bisect_left(self._by_rank, highest, key=lambda r: r[0])
            candidates = [sent for _, sent in self._by_rank[at:]]
        else:
            begun = self._last_begun[known]
            candidates = [sent for sent in self.sent if sent.end >= begun]
        for sent in candidates:
            if sent.outcome != "fail" and sent.invoked < read.completed:
                yield sent

    def missed(self, read: Read, shown: Sent | None) -> Sent:
        """Return the first acknowledged write that should have been shown instead."""
        known = self.before(read)
        if shown is None:
            return known[-1] if self.kind is not Kind.LATEST else known[0]
        if self.kind is Kind.LATEST:
            rank = _rank(shown.value or "")
            return next(sent for sent in known if _rank(sent.value or "") > rank)
        return next((sent for sent in known if sent.invoked > shown.end), known[-1])

    def shown(self, read: Read) -> tuple[bool, Finding | None]:
        """Whether a read showed a value of this place that it may, else what is wrong with that."""
        digests = read.digests or frozenset()
        known = self.before(read)
        none = not known
        for sent in self.possible(read):
            if sent.digest in digests:
                return True, None
            none |= sent.value is None
        shown = next((s for s in reversed(self.sent) if s.digest in digests), None)
        if shown is None and none:
            return False, None
        key = self.sent[0].key
        thing = key if key == self.kind else f"{self.kind} {key}".strip()
        if shown is not None and shown.invoked >= read.completed:
            return True, Finding(thing, f"{_short(shown.value)}, which nobody had sent by then")
        if not known:
            return shown is not None, None
        missed = self.missed(read, shown)
        return True, Finding(thing, "nothing" if shown is None else _short(shown.value), missed)


@dataclass
class Owner:
    """What was written to a run, a model or a version, and read of it."""

    registers: dict[tuple[Kind, str], Register] = field(default_factory=dict)
    reads: list[Read] = field(default_factory=list)

    def write(self, sent: Sent) -> None:
        """Add a write; a point of a metric may be its latest, too."""
        kinds = (sent.kind, Kind.LATEST) if sent.kind is Kind.METRIC else (sent.kind,)
        for kind in kinds:
            self.registers.setdefault((kind, sent.key), Register(kind)).sent.append(sent)

    @cached_property
    def exists(self) -> Register | None:
        """Whether it is there; None: the history does not say that it was made."""
        register = self.registers.get((EXISTS, ""))
        made = register and any(sent.acknowledged and sent.value for sent in register.sent)
        return register if made else None

    def look(self, read: Read, chosen: frozenset[tuple[Kind, str]]) -> Finding | None:
        """Return the first thing that a read showed wrongly; `chosen`: places of the server's."""
        if read.scope == "curve":
            return self._curve(read)
        if read.scope == "files":
            return self._folder(read)
        if read.scope == "spans":
            return self._spans(read)
        shown = SHOWS[read.scope]
        if read.scope in _ONE_KEY and not any((k, read.key) in self.registers for k in shown):
            return None
        if read.scope == "file" and not self._was_sent(read):
            return Finding(f"{Kind.ARTIFACT} {read.key}", "content that nobody had sent")
        strangers = len(read.digests or ())
        for (kind, key), register in self.registers.items():
            if kind not in shown or (read.scope in _ONE_KEY and key != read.key):
                continue
            is_shown, finding = register.shown(read)
            if finding:
                return finding
            strangers -= is_shown
        if read.scope == "run":
            strangers -= sum(place not in self.registers for place in chosen)
        if strangers > 0 and read.scope not in ("experiment", "trace"):
            return Finding(read.scope, f"{strangers} values that nobody had sent by then")
        return None

    def _curve(self, read: Read) -> Finding | None:
        register = self.registers.get((Kind.METRIC, read.key))
        if register is None:
            return None
        digests = read.digests or frozenset()
        thing = f"{Kind.METRIC} {read.key}"
        absent = [sent for sent in register.before(read) if sent.digest not in digests]
        if absent:
            return Finding(thing, f"{len(digests)} points, {len(absent)} absent", absent[0])
        sent_by_then = {sent.digest for sent in register.sent if sent.invoked < read.completed}
        if strangers := digests - sent_by_then:
            return Finding(thing, f"{len(strangers)} points that nobody had sent by then")
        return None

    def _spans(self, read: Read) -> Finding | None:
        """Look at all spans of a trace: is each there that was acknowledged before?"""
        of_span = [(key, one) for (kind, key), one in self.registers.items() if kind is Kind.SPAN]
        for key, register in of_span:
            if (known := register.before(read)) and _absent(key, read):
                return Finding("the spans", f"without {key}", known[0])
        sent = [key for key, one in of_span if any(s.invoked < read.completed for s in one.sent)]
        if strangers := (read.digests or frozenset()) - set(map(named, sent)):
            return Finding("the spans", f"{len(strangers)} that nobody had sent by then")
        return None

    def _was_sent(self, read: Read) -> bool:
        digests = read.digests or ()
        return any(s.digest in digests for s in self.registers[Kind.ARTIFACT, read.key].sent)

    def _folder(self, read: Read) -> Finding | None:
        """Look at a list of files: is all in it that was stored before, or its folder?"""
        folder = f"{read.key}/" if read.key else ""
        for (kind, key), register in self.registers.items():
            if kind is not Kind.ARTIFACT or not key.startswith(folder):
                continue
            name = key.removeprefix(folder).partition("/")[0]
            if (known := register.before(read)) and _absent(name, read):
                return Finding("the list of files", f"without {name}", known[0])
        return None


def judge(tables: Tables) -> Freshness:
    """Compare what reads showed with what was acknowledged before."""
    findings = _Findings(timeline_of(tables))
    not_audited = {row["route"] for row in rows(tables, _NOT_AUDITED)}
    staged = bool(STAGED_BY & not_audited)
    unknown = {"run", *OF_TRACES} if staged else set()
    if _REMOVES_FILES & not_audited:
        unknown |= {"file", "files"}
    chosen = SERVER_CHOOSES
    if "POST runs/log-model" not in not_audited:
        chosen -= {LOGGED_MODELS}
    for _, lines in groupby(rows(tables, _BY_ROOT), key=lambda line: line["root"]):
        owners: dict[str, Owner] = defaultdict(Owner)
        for line in lines:
            owner = owners[line["owner"]]
            if (write := line["write"]) is not None:
                owner.write(Sent(**write | {"kind": Kind(write["kind"])}))
            else:
                owner.reads.append(_read(**line["read"]))
        for name, one in owners.items():
            model = owners.get(name.rpartition("/")[0])
            for read in one.reads:
                if not one.exists and read.scope not in WITHOUT_CREATION:
                    continue
                if read.scope not in unknown:
                    findings.compared(read)
                    if read.scope == "versions":
                        finding = _versions(name, owners, read)
                    else:
                        finding = _look(one, model, read, chosen)
                    if finding:
                        findings.add(name, read, finding)
    if not staged:
        _lists(tables, findings)
    return findings.result()


class _Findings:
    """Counts reads and findings."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._reads: set[str] = set()
        self._stale: set[str] = set()
        self._unexpected: set[str] = set()
        self._longest_s = 0.0
        self._findings: list[tuple[int, str]] = []

    def compared(self, read: Read) -> None:
        self._reads.add(read.caller)

    def add(self, owner: str, read: Read, finding: Finding) -> None:
        when = self._timeline.when(read.invoked)
        said = f"{finding.thing} of {owner}, read {when} {read.caller}: {finding.showed}"
        if finding.missed is None:
            self._unexpected.add(read.caller)
            self._findings.append((read.invoked, f"unexpected: {said}"))
            return
        age_s = (read.invoked - (finding.missed.completed or 0)) / 1e9
        self._stale.add(read.caller)
        self._longest_s = max(self._longest_s, age_s)
        value = _short(finding.missed.value)
        self._findings.append(
            (
                read.invoked,
                f"stale: {said}; {value} was acknowledged {age_s:.3f} s before it began "
                f"{finding.missed.caller}",
            )
        )

    def result(self) -> Freshness:
        said = [said for _, said in sorted(self._findings)]
        more = len(said) - MOST_FINDINGS
        return Freshness(
            reads=len(self._reads),
            stale=len(self._stale),
            unexpected=len(self._unexpected),
            max_staleness_s=self._longest_s if self._stale else None,
            findings=[*said[:MOST_FINDINGS], *([f"… and {more} more"] if more > 0 else [])],
        )


def _lists(tables: Tables, findings: _Findings) -> None:
    """Look at lists of the runs of an experiment: is every run in it that was there before?"""
    lists = [
        (int(row.pop("key")), _read(key="", **row))
        for row in rows(tables, f"select * exclude (root, owner) from ({_READS.format('=')})")
    ]
    if not lists:
        return
    runs = list(rows(tables, _RUNS))
    for since, read in lists:
        findings.compared(read)
        for run in runs[bisect_right(runs, since, key=lambda run: run["start"]) :]:
            if run["acknowledged"] < read.invoked and _absent(run["id"], read):
                missed = Sent(EXISTS, "", THERE, 0, run["acknowledged"], "ok", False, run["caller"])
                finding = Finding("the list of runs", "without it", missed)
                findings.add(f"run {run['id']}", read, finding)
                break


def _absent(name: str, read: Read) -> bool:
    return named(name) not in (read.digests or ())


def _versions(name: str, owners: dict[str, Owner], read: Read) -> Finding | None:
    """Look at the list of a model's versions: is each in it that was there before?"""
    model = owners[name].exists
    if model is None or any(sent.value is None for sent in model.sent):
        return None  # its versions went with it, or got another name
    if (Kind.TAG, IS_PROMPT_TAG_KEY) in owners[name].registers:
        return None  # a search does not give prompts by itself
    for identity, version in owners.items():
        if identity.startswith(f"{name}/") and (exists := version.exists):
            known = exists.before(read)
            is_there = all(sent.value for sent in exists.possible(read))
            if known and is_there and _absent(identity, read):
                return Finding("the list of versions", f"without {identity}", known[-1])
    return None


def _read(
    scope: str, key: str, packed: str | None, invoked: int, completed: int, caller: str
) -> Read:
    return Read(
        scope, key, None if packed is None else unpacked(packed), invoked, completed, caller
    )


def _look(
    owner: Owner, model: Owner | None, read: Read, chosen: frozenset[tuple[Kind, str]]
) -> Finding | None:
    """Compare a read of an owner; while it may be deleted, it may show anything."""
    for one in (owner, model):
        if one is None or one.exists is None or read.scope in WITHOUT_CREATION:
            continue
        possible = list(one.exists.possible(read))
        if read.digests is not None and all(sent.value is None for sent in possible):
            return Finding("all", "that it is there", one.exists.before(read)[-1])
        if any(sent.value is None for sent in possible):
            return None
        if read.scope in OF_TRACES and any(sent.value is None for sent in one.exists.sent):
            return None  # what is there came after its deletion, and maybe not all of it
    if read.digests is None:
        known = owner.exists.before(read) if owner.exists else []
        return Finding("all", "that it is not there", known[0]) if known else None
    return owner.look(read, chosen)


def _short(value: str | None) -> str:
    if value is None:
        return "a deletion"
    return value if len(value) <= 60 else value[:57] + "…"
