"""Command line of the garbage collection: one run, and a line of JSON with what was removed.

Exit status: 0 done, 1 failed. Whatever is not removed then, the next run removes.
"""

# mypy: allow-untyped-calls

import argparse
import json
import os
import signal
import sys
from contextlib import redirect_stdout
from typing import Any

from sqlalchemy import text

LOCK = int.from_bytes(b"mlfgarbg")
"""Advisory locks are numbers, one space a database."""


def main(arguments: list[str] | None = None) -> int:
    """Remove what was deleted; return the exit status."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What MLflow prints is a line for each thing.
    with redirect_stdout(sys.stderr):
        try:
            found = collect(given)
        except Exception as error:
            line = " ".join(str(error).split()) or repr(error)
            sys.stderr.write(f"garbage-collection: failed: {line}\n")
            return 1
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def collect(given: argparse.Namespace) -> dict[str, Any]:
    """Do what the arguments say; return what was removed."""
    # Here, as they read what the environment says, and take seconds.
    import mlflow
    from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
    from mlflow.tracking import _get_store

    from .collection import Collection
    from .places import place

    os.environ["MLFLOW_BACKEND_STORE_URI"] = given.database_uri
    # Asked for, and not used: artifacts are removed where they are.
    mlflow.set_tracking_uri(given.database_uri)
    store: Any = _get_store(given.database_uri, given.artifacts_destination)
    collection = Collection(store, place(given.artifacts_destination), dry=given.dry_run)
    gc = [
        f"--backend-store-uri={given.database_uri}",
        f"--artifacts-destination={given.artifacts_destination}",
        *([f"--older-than={given.older_than}"] if given.older_than else []),
        *(["--jobs"] if given.jobs and not given.dry_run else []),
        *(["--all-workspaces"] if MLFLOW_ENABLE_WORKSPACES.get() else []),
    ]
    with store.engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
            raise RuntimeError("another garbage collection works on this database; wait for it")
        try:
            return collection.run(*gc).figures()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="garbage-collection", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--database-uri", required=True, help="without the password")
    parser.add_argument("--artifacts-destination", required=True, help="as the servers have it")
    parser.add_argument("--older-than", metavar="AGE", help="as MLflow has it: 30d, 1d12h")
    parser.add_argument("--jobs", action="store_true", help="jobs that have ended, too")
    parser.add_argument("--dry-run", action="store_true", help="remove nothing, only count")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
