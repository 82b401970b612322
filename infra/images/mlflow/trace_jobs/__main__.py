"""Command line of the trace jobs: a pass at once and then one a minute, until it is ended.

What it does is as MLflow's own variables say: `MLFLOW_TRACE_ARCHIVAL_CONFIG` for archival,
`MLFLOW_SQL_TRACE_ROLLUPS_ENABLED` and `MLFLOW_TRACE_ROLLUPS_SCHEDULE` for rollups.
"""

# mypy: allow-untyped-calls

import argparse
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from . import lock, retention

READY = Path("/tmp/trace-jobs.ready")
"""There while the last pass had no error."""

PASS_SECONDS = 60
AFTER_ERROR_SECONDS = 5

_log = logging.getLogger("trace-jobs")


def main(arguments: list[str] | None = None) -> int:
    """Do the jobs again and again; with `--once`, return the exit status of one pass."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level="INFO", format="%(asctime)s %(name)s: %(message)s")
    os.environ["MLFLOW_BACKEND_STORE_URI"] = given.database_uri
    # Where there are workspaces, it says so in the environment; and they are in the same place.
    os.environ["MLFLOW_WORKSPACE_STORE_URI"] = given.database_uri
    if given.once:
        work(given.delete_after, given.rollups_now)
        return 0
    while True:
        began = time.monotonic()
        pause = PASS_SECONDS if _pass(given.delete_after) else AFTER_ERROR_SECONDS
        time.sleep(max(began + pause - time.monotonic(), 0))


def _pass(delete_after: str | None) -> bool:
    try:
        work(delete_after)
    except Exception as error:
        READY.unlink(missing_ok=True)
        _log.error("a pass failed: %s", str(error).partition("\n")[0] or repr(error))
        return False
    READY.touch()
    return True


def work(delete_after: str | None, rollups_now: bool = False) -> None:
    """Do one pass, unless others work on this database."""
    # Here, as they read what the environment says, and take seconds.
    from mlflow.server.jobs.utils import initialize_periodic_tasks_tracking_store

    now = datetime.now(UTC)
    store: Any = initialize_periodic_tasks_tracking_store()
    try:
        _work(store, now, delete_after, rollups_now=rollups_now)
    finally:
        # Until the next pass it is as if there was none: a schema job may change the schema.
        store.engine.dispose()


def _work(store: Any, now: datetime, delete_after: str | None, *, rollups_now: bool) -> None:
    from mlflow.tracing.trace_archival_service import run_trace_archival_scheduler
    from mlflow.tracing.trace_rollup_service import run_sql_trace_rollup_scheduler

    with lock.held(store.engine, lock.JOBS) as ours:
        if not ours:
            _log.info("other trace jobs work on this database")
            return
        if delete_after is not None:
            deleted = retention.delete_older(store, delete_after, int(now.timestamp() * 1000))
            if deleted:
                _log.info("deleted %d traces older than %s", deleted, delete_after)
        if archived := run_trace_archival_scheduler():
            _log.info("archived %d traces", archived)
        if not rollups_now and not _are_due(now):
            return
        with lock.held(store.engine, lock.ROLLUPS) as free:
            if free and _are_wanted(store):
                _log.info("rollups: %s", run_sql_trace_rollup_scheduler(store))


def _are_due(now: datetime) -> bool:
    """Whether rollups are to be built in the minute of `now`."""
    from huey import crontab  # type: ignore[import-untyped]
    from mlflow.environment_variables import MLFLOW_TRACE_ROLLUPS_SCHEDULE

    names = ("minute", "hour", "day", "month", "day_of_week")
    fields = MLFLOW_TRACE_ROLLUPS_SCHEDULE.get().split()
    return bool(crontab(strict=True, **dict(zip(names, fields, strict=True)))(now))


def _are_wanted(store: Any) -> bool:
    """Whether the last schema job was told so: servers that read none refuse to start on any."""
    with store.engine.connect() as connection:
        return bool(connection.scalar(text("SELECT trace_rollups FROM mlflow_bench.deployment")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="trace-jobs", description=__doc__.partition("\n")[0])
    parser.add_argument("--database-uri", required=True, help="without the password")
    parser.add_argument("--delete-after", metavar="AGE", help="as 90m, 12h or 30d")
    parser.add_argument("--once", action="store_true", help="one pass, and the end")
    parser.add_argument(
        "--rollups-now", action="store_true", help="with --once: whatever the schedule says"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
