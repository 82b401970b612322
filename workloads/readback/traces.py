"""Traces, their spans and what they are linked to, read through one tracking server.

What is known of a trace comes with the search for it. Spans come by `traces/batchGet`, which leaves
out a trace of which the server has fewer spans than its client counted: such a one is asked for by
itself, as far as it is there.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import gevent  # type: ignore[import-untyped]
import requests
from gevent.pool import Pool  # type: ignore[import-untyped]
from mlflow.entities import TraceInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.service_pb2 import BatchGetTraces, GetTrace, GetTraceInfoV3
from mlflow.utils.proto_json_utils import parse_dict

from workloads.history import spans
from workloads.history.history import Kind
from workloads.history.trace_effects import LINKED, kept_metadata, tag
from workloads.readback.archive import ARCHIVED, STATE_TAG, Archive
from workloads.readback.attempted import Attempted
from workloads.readback.lines import TRACE_KINDS, Lines
from workloads.readback.listing import Listing

Get = Callable[..., requests.Response]

READERS = 6

ASKED_AGAIN = frozenset({408, 429, 502, 503, 504})
"""Answers after which the client asks for spans again, for minutes. 500 it gets for a trace that
the server cannot read, as an archived one whose file is damaged, however often it asks."""

ATTEMPTS = 3
PAUSE_S = 1.0
"""Of a trace that is answered with 500 by itself, too."""

TRACES_AT_ONCE = 50
"""Traces whose spans are asked for at once."""

GIVEN = ("TRACKING_STORE", ARCHIVED)
"""Where spans are that the server gives; of other traces the client has put them among the
artifacts."""

_API = "/api/3.0/mlflow/traces"


class Traces:
    """Reads them through one server; `get` asks it for a path, `archive` hears what is there."""

    def __init__(
        self, listing: Listing, get: Get, attempted: Attempted, archive: Archive, lines: Lines
    ) -> None:
        self._listing = listing
        self._get = get
        self._attempted = attempted
        self._archive = archive
        self._lines = lines

    def read(self) -> dict[str, TraceInfo]:
        """Read all of them; returns what is known of each that is there, by id."""
        pool = Pool(READERS)
        infos: dict[str, TraceInfo] = {}
        unread: dict[str, Exception] = {}
        for experiment in sorted(self._attempted.traced | {self._listing.experiment_id}):
            self._list(experiment, infos)

        def ask(trace_id: str) -> None:
            """A trace that the search did not show may still be there."""
            try:
                if info := self._info(trace_id):
                    infos[trace_id] = info
            except Exception as error:
                unread[trace_id] = error

        pool.map(ask, sorted(self._attempted.traces.keys() - infos.keys()))
        every = sorted(self._attempted.traces.keys() | infos.keys())
        for trace_id in every:
            self._write_info(trace_id, infos.get(trace_id), unread.get(trace_id))
        self._archive.note(infos.values())
        known = [trace_id for trace_id in every if trace_id not in unread]
        there = [i for i in known if i in infos and _has_spans(infos[i])]
        n = TRACES_AT_ONCE
        for trace_id in known:
            if trace_id not in infos or not _has_spans(infos[trace_id]):
                self._lines.add(Kind.SPAN, trace_id)
        pool.map(self._spans, [there[at : at + n] for at in range(0, len(there), n)])
        pool.map(self._links, sorted(self._attempted.links))
        return infos

    def _list(self, experiment_id: str, infos: dict[str, TraceInfo]) -> None:
        """List the traces of an experiment; of another than the run's those that are its own."""
        items: dict[str, list[str]] = defaultdict(list)
        try:
            for info in self._listing.traces(experiment_id):
                ours = experiment_id == self._listing.experiment_id
                if ours or info.trace_id in self._attempted.traces:
                    items[info.trace_id].append(info.trace_id)
                    infos[info.trace_id] = info
        except Exception as error:
            self._lines.add(Kind.TRACE, experiment_id, error=error)
        else:
            self._lines.add(Kind.TRACE, experiment_id, items)

    def _info(self, trace_id: str) -> TraceInfo | None:
        """Return what is known of a trace; None: there is none."""
        answer = self._get(f"{_API}/{trace_id}")
        if answer.status_code == requests.codes.not_found:
            return None
        message = GetTraceInfoV3.Response()
        parse_dict(_json(answer), message)  # type: ignore[no-untyped-call]
        return TraceInfo.from_proto(message.trace.trace_info)

    def _write_info(self, trace_id: str, info: TraceInfo | None, error: Exception | None) -> None:
        lines = self._lines
        if error:
            for kind in TRACE_KINDS:
                lines.add(kind, trace_id, error=error)
            return
        lines.add(Kind.FIELD, trace_id, fields(info) if info else None)
        tags = info.tags if info else {}
        lines.add(Kind.TAG, trace_id, {key: [tag(value)] for key, value in tags.items()})

    def _spans(self, trace_ids: list[str]) -> None:
        """Read the spans of some traces."""
        try:
            parameters = {"trace_ids": trace_ids}
            answer = _json(
                self._get(f"{_API}/batchGet", params=parameters, retry_codes=ASKED_AGAIN)
            )
            message = BatchGetTraces.Response()
            parse_dict(answer, message)  # type: ignore[no-untyped-call]
            got = {trace.trace_info.trace_id: trace.spans for trace in message.traces}
        except Exception:
            got = {}  # each by itself: one that cannot be read is not to hide the others
        for trace_id in trace_ids:
            try:
                found = got.get(trace_id) or self._some_spans(trace_id)
            except Exception as error:
                self._lines.add(Kind.SPAN, trace_id, error=error)
            else:
                self._lines.add(Kind.SPAN, trace_id, self._values(trace_id, found))

    def _some_spans(self, trace_id: str) -> Iterable[Any]:
        """Return the spans that there are of a trace that is not complete."""
        parameters = {"trace_id": trace_id, "allow_partial": "true"}
        for attempt in range(ATTEMPTS):
            if attempt:
                gevent.sleep(PAUSE_S)
            got = self._get(f"{_API}/get", params=parameters, retry_codes=ASKED_AGAIN)
            if got.status_code != requests.codes.server_error:
                break
        answer = _json(got)
        message = GetTrace.Response()
        parse_dict(answer, message)  # type: ignore[no-untyped-call]
        return message.trace.spans  # type: ignore[no-any-return]

    def _values(self, trace_id: str, found: Iterable[Any]) -> dict[str, list[str]]:
        sent = self._attempted.traces.get(trace_id, {})
        values: dict[str, list[str]] = defaultdict(list)
        for span in found:
            span_id = spans.id_of(span)
            values[span_id].append(spans.value_of(span, sent.get(span_id, ())))
        return values

    def _links(self, owner: str) -> None:
        """Read which traces are linked to a run, or to the version of a prompt."""
        asked = "prompt" if "/" in owner else "run_id"
        linked = self._attempted.links[owner]
        try:
            there = {
                info.trace_id
                for experiment in sorted(self._attempted.traced | {self._listing.experiment_id})
                for info in self._listing.traces(experiment, f"{asked} = '{owner}'")
            }
        except Exception as error:
            self._lines.add(Kind.LINK, owner, error=error)
        else:
            # Those that were made in the run are shown, too, and are no links.
            self._lines.add(Kind.LINK, owner, {i: [LINKED] for i in sorted(there & linked)})


def fields(info: TraceInfo) -> dict[str, list[str]]:
    """Return what is known of a trace, as fields."""
    found = {
        "state": str(info.state),
        "request_time": str(info.request_time),
        "client_request_id": info.client_request_id,
        "request_preview": info.request_preview,
        "response_preview": info.response_preview,
        **kept_metadata(info.trace_metadata),
    }
    return {key: [value] for key, value in found.items() if value}


def _has_spans(info: TraceInfo) -> bool:
    return info.tags.get(STATE_TAG) in GIVEN


def _json(answer: requests.Response) -> Any:
    if not answer.ok:
        raise MlflowException(f"HTTP {answer.status_code}: {answer.text[:200]}")
    return answer.json()
