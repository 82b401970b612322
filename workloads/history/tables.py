"""The files of a run as tables: each is read once, and what judges them asks by SQL.

DuckDB reads JSON lines in parallel and writes to disk most of what does not fit into half of the
free memory. Tables of a history:

- `operation`: one row for each, by `number` in the order in which they ended, those without an end
  last; times in ns, `outcome` is `info` where nobody knows; the rest as `history.Operation` has it;
- `event`: the line of everything else, as JSON, with its `type`;
- `write`: what operations wanted kept.

And of what was read back, as `workloads.readback.lines` describes it:

- `readback`: the lines; `source`: their sources by `number`, the kinds that each `holds`, and those
  that it has `of_some` owners only.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import duckdb
import psutil

from workloads import CannotRunError
from workloads.history.history import Kind, entries, lines

LEAST_MEMORY_MB = 512

ROWS_AT_ONCE = 1000

ADDRESS = "address"
"""Source of lines that name none: those of runs that read through the address only."""

NEVER_ENDED = 1 << 40
"""Added to the number of operations without an end."""

_KINDS = tuple(kind.value for kind in Kind)

_HISTORY = {
    "type": "varchar",
    "mono_ns": "bigint",
    "op": "varchar",
    "user": "bigint",
    "kind": "varchar",
    "name": "varchar",
    "background": "boolean",
    "writes": "varchar[][]",
    "exporter": "boolean",
    "planned_ns": "json",  # a list of them in other lines than an operation's
    "not_audited": "varchar[]",
    "retries": "varchar[]",
    "error": "varchar",
    "created": "varchar",
    "replica": "varchar",
    "saw": "varchar[][]",
}

_READBACK = {
    "source": "varchar",
    "holds": "varchar[]",
    "of_some": "varchar[]",
    "not_done": "varchar",
    "kind": "varchar",
    "owner": "varchar",
    "items": "map(varchar, varchar[])",
    "unread": "map(varchar, varchar)",
    "error": "varchar",
}

Tables = duckdb.DuckDBPyConnection


@contextmanager
def opened(history: Path, readback: Path | None = None) -> Iterator[Tables]:
    """Give the tables of these files; of a read-back file that is missing, empty ones.

    A torn last line is left out. Raises `CannotRunError` if the history is missing, or a file is
    damaged anywhere else.
    """
    memory_mb = max(LEAST_MEMORY_MB, psutil.virtual_memory().available // 2 // 2**20)
    with (
        tempfile.TemporaryDirectory(prefix="mlflow-bench-") as scratch,
        duckdb.connect(
            config={
                "memory_limit": f"{memory_mb}MiB",
                "temp_directory": scratch,
                "autoinstall_known_extensions": "false",
            }
        ) as tables,
    ):
        tables.execute("set enable_progress_bar = false")
        _read_history(tables, history)
        if readback:
            _read_readback(tables, readback)
        try:
            yield tables
        except duckdb.OutOfMemoryException:
            raise CannotRunError(
                f"{history}: judging it takes more than {memory_mb} MiB, half of the free memory: "
                "free some, or copy the run's folder to a larger machine, and run `recheck`"
            ) from None


def rows(tables: Tables, query: str) -> Iterator[dict[str, Any]]:
    """Yield what a query gives, by the names of its columns; no other may be asked meanwhile."""
    result = tables.execute(query)
    names = [column[0] for column in result.description]
    while batch := result.fetchmany(ROWS_AT_ONCE):
        for row in batch:
            yield dict(zip(names, row, strict=True))


def events(tables: Tables, *types: str) -> Iterator[dict[str, Any]]:
    """Yield the lines of these types, or all that are of no operation, in their order."""
    which = f"where type in {types}" if types else ""
    for row in rows(tables, f"select line from event {which} order by rowid"):
        yield json.loads(row["line"])


def _read_history(tables: Tables, path: Path) -> None:
    source = _read(tables, "line", path, _HISTORY)
    tables.execute(
        f"""
        create table event as
        select json->>'type' as type, json::varchar as line from {source}
        where json->>'type' not in ('invoke', 'ok', 'fail', 'info');

        create table operation as
        select
            coalesce(ended.rowid, {NEVER_ENDED} + begun.rowid) as number,
            begun.op as id, begun.user, begun.kind as type, begun.name,
            begun.mono_ns as invoked_ns, ended.mono_ns as completed_ns,
            coalesce(ended.type, 'info') as outcome, begun.planned_ns::bigint as planned_ns,
            coalesce(begun.exporter, false) as exporter,
            begun.writes, begun.not_audited, coalesce(ended.retries, []) as retries,
            ended.error, ended.created, ended.replica, coalesce(ended.saw, []) as saw
        from line begun left join line ended
            on ended.op = begun.op and ended.type in ('ok', 'fail', 'info')
        where begun.type = 'invoke';

        create table write as
        select number, outcome, invoked_ns, completed_ns, created,
            part[1] as kind, nullif(part[2], '') as owner, part[3] as key, part[4] as value
        from (select *, unnest(writes) as part from operation);
        """
    )
    [(damaged,)] = tables.execute(
        f"""
        select
            (select count(*) from line where type is null or mono_ns is null
                or (type = 'plan') <> (rowid = 0)
                or (type = 'invoke' and (op is null or kind is null or name is null
                    or "user" is null or background is null or writes is null)))
            + (select count(*) from line where type in ('ok', 'fail', 'info'))
            - (select count(*) from operation where number < {NEVER_ENDED})
            + (select count(*) from write where kind is null or kind not in {_KINDS})
            + (select count(*) = 0 from line)::int
        """
    ).fetchall()
    if damaged:
        for _ in entries(path):  # says what and where
            pass
        raise CannotRunError(f"{path}: does not fit; restore it")
    tables.execute("drop table line")


def _read_readback(tables: Tables, path: Path) -> None:
    if path.exists():
        _read(tables, "readback", path, _READBACK)
    else:
        columns = ", ".join(f"{name} {type_}" for name, type_ in _READBACK.items())
        tables.execute(f"create table readback ({columns})")
    [(damaged,)] = tables.execute(
        f"""
        select count(*) from readback where not_done is null and holds is null and (
            kind is null or kind not in {_KINDS} or owner is null
            or (error is null and (items is null or unread is null)))
        """
    ).fetchall()
    if damaged:
        _name_damage(path)
    tables.execute(
        f"""
        update readback set source = '{ADDRESS}' where source is null;
        create table source as
        select source as name, row_number() over (order by min(rowid)) - 1 as number,
            coalesce(any_value(holds), list_filter({list(_KINDS)}, lambda kind:
                kind <> '{Kind.LATEST}')) as holds,
            coalesce(any_value(of_some), []) as of_some,
            coalesce(bool_or(holds is not null and error is not null), false) as failed
        from readback where not_done is null group by source
        """
    )


def _name_damage(path: Path) -> NoReturn:
    """Say which line of a read-back file does not fit."""
    for number, line in enumerate(lines(path), 1):
        known = "not_done" in line or "holds" in line
        if not known and not (line.get("kind") in set(Kind) and "owner" in line):
            raise CannotRunError(f"{path}: line {number} does not fit; restore it")
    raise CannotRunError(f"{path}: does not fit; restore it")


def _read(tables: Tables, name: str, path: Path, columns: dict[str, str]) -> str:
    """Fill a table with the lines of a file; returns what DuckDB reads them from as JSON."""
    longest, whole = 1, True
    try:
        with path.open("rb") as file:
            for line in file:
                longest = max(longest, len(line))
                whole = line.endswith(b"\n")
    except OSError as error:
        raise CannotRunError(f"{path}: {error.strerror}; is this the folder of a run?") from None
    options = f"maximum_object_size = {longest + 1}, ignore_errors = true"
    file_name = str(path).replace("'", "''")
    types = ", ".join(f"'{column}': '{type_}'" for column, type_ in columns.items())
    tables.execute(
        f"""
        create table {name} as select * from read_json('{file_name}',
            format = 'newline_delimited', columns = {{{types}}}, {options})
        """
    )
    if not whole:
        tables.execute(f"delete from {name} where rowid = (select max(rowid) from {name})")
    return f"read_ndjson_objects('{file_name}', {options})"
