"""The lines of a read-back file.

The first line of a source names it and the kinds of things that it is read for (`source`, `holds`,
and `of_some`: kinds that it has of single owners only, of those that have a line); `error` there
says that it could not be read at all. Every other line says what one place holds: `source`, `kind`,
`owner` and `items`, the values found by key. `error` instead of items, and `unread` for single
keys, say that it could not be read. A line with `not_done` names a source that could not be had and
why. Judging needs this file and the history, and no server.
"""

from collections.abc import Iterable, Mapping

from workloads import error_summary
from workloads.history.history import Appender, Kind

RUN_KINDS = (
    Kind.STATUS,
    Kind.FIELD,
    Kind.PARAM,
    Kind.TAG,
    Kind.DATASET,
    Kind.OUTPUT,
    Kind.METRIC,
    Kind.LATEST,
)
"""What belongs to a run, artifacts left out."""

MODEL_KINDS = (Kind.STATUS, Kind.FIELD, Kind.PARAM, Kind.TAG, Kind.MODEL_METRIC)
"""What belongs to a logged model, artifacts left out."""

REGISTERED_KINDS = (Kind.FIELD, Kind.TAG, Kind.ALIAS, Kind.VERSION)
"""What belongs to a registered model."""

TRACE_KINDS = (Kind.FIELD, Kind.TAG, Kind.SPAN)
"""What belongs to a trace, artifacts and assessments left out."""

NAMED_KINDS = (Kind.FIELD, Kind.TAG)
"""What belongs to a model version or an experiment."""

DATASET_KINDS = (Kind.FIELD, Kind.TAG)
"""What belongs to an evaluation dataset, records left out."""

READ = frozenset(Kind) - {Kind.DELETION}
"""Kinds of things that can be read."""


class Lines:
    """Writes what one source holds."""

    def __init__(self, out: Appender, source: str) -> None:
        self._out = out
        self.source = source

    def begin(
        self,
        holds: Iterable[Kind],
        error: Exception | None = None,
        of_some: Iterable[Kind] = (),
    ) -> None:
        """Say what this source is read for; with `error`, that it could not be read."""
        line = {"source": self.source, "holds": sorted(holds), "of_some": sorted(of_some)}
        self._out.append(line | ({"error": error_summary(error)} if error else {}))

    def not_done(self, why: str) -> None:
        """Say that this source is not there to be read."""
        self._out.append({"source": self.source, "not_done": why})

    def add(
        self,
        kind: Kind,
        owner: str,
        items: Mapping[str, list[str]] | None = None,
        unread: Mapping[str, str] | None = None,
        error: Exception | None = None,
    ) -> None:
        """Say what one place holds, or that it could not be read."""
        self._out.append(
            {
                "source": self.source,
                "kind": kind,
                "owner": owner,
                "items": items or {},
                "unread": unread or {},
                "error": error_summary(error) if error else None,
            }
        )
