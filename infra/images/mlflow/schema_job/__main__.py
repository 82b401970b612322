"""Command line of the schema job.

Exit status: 0 done, 1 failed, 2 wrong arguments, 3 refused. All but 0 leave the database as it
was.
"""

import argparse
import sys
import time

from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from . import (
    encryption,
    migrations,
    record,
    rollup_rows,
    sessions,
    states,
    store,
    users,
    workspaces,
)
from .database import locked_connection
from .messages import FailureError, RefusalError, say

_OUTSIDE = text(
    "SELECT count(*), min(artifact_location) FROM experiments "
    "WHERE artifact_location NOT LIKE :proxied"
)


def main(arguments: list[str] | None = None) -> int:
    """Prepare the database and return the exit status."""
    options = _parser().parse_args(arguments)
    destination = record.normalise(options.artifacts_destination, options.artifacts_service)
    try:
        store.check(options.artifacts_destination)
        with (
            locked_connection(
                options.database_uri,
                connect_timeout=options.connect_timeout,
                lock_timeout=options.lock_timeout,
            ) as connection,
            connection.begin(),
        ):
            # A server's forgotten transaction must not hold the migration for ever.
            timeout = f"{options.lock_timeout * 1000:.0f}ms"
            connection.execute(text(f"SET LOCAL lock_timeout = '{timeout}'"))
            summary = prepare(
                connection,
                destination,
                rollups=options.trace_rollups,
                servers_timeout=options.servers_timeout,
            )
            if not options.workspaces:
                workspaces.check(connection)
            if options.users:
                users.prepare(connection, users.password(), options.servers_timeout)
    except RefusalError as refusal:
        say(f"refused: {refusal}", sys.stderr)
        return 3
    except FailureError as failure:
        say(f"failed: {failure}", sys.stderr)
        return 1
    except SQLAlchemyError as error:
        say(f"failed, nothing is changed: {getattr(error, 'orig', None) or error}", sys.stderr)
        return 1
    say(summary)
    return 0


def prepare(
    connection: Connection,
    destination: str,
    *,
    rollups: bool = False,
    servers_timeout: float = 0,
) -> str:
    """Bring the database to the image's head inside the connection's transaction.

    Returns a summary of one line. Raises RefusalError when the database must not be used.
    """
    mlflow = migrations.Migrations()
    image = mlflow.image()
    action = states.decide(states.read(connection), image)
    before = record.read(connection)
    record.check(before, destination)
    began = time.monotonic()
    if action is states.Action.CREATE:
        mlflow.create(connection)
    elif action is states.Action.UPGRADE:
        sessions.wait_until_none(connection, servers_timeout, image.version)
        began = time.monotonic()
        mlflow.upgrade(connection)
    took = "" if action is states.Action.VERIFY else f" in {time.monotonic() - began:.1f} s"
    migrations.check_tables(connection)
    migrations.add_default_experiment(connection)
    record.write(connection, destination, image.version, rollups)
    if before is not None and before.trace_rollups and not rollups:
        rollup_rows.delete(connection)
    encryption.adopt(connection)
    _warn_of_outside_artifacts(connection)
    return (
        f"{action} the schema at revision {image.head}{took} (mlflow {image.version}), "
        f"artifacts at {destination}"
    )


def _warn_of_outside_artifacts(connection: Connection) -> None:
    """Name experiments that older settings pinned to places the server does not serve."""
    count, example = connection.execute(_OUTSIDE, {"proxied": f"{migrations.PROXY_SCHEME}%"}).one()
    if count:
        say(
            f"warning: {count} experiments keep their artifacts outside the tracking server, as "
            f"{example!r}: clients have to reach that place themselves"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="schema-job", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--database-uri",
        required=True,
        type=_database_uri,
        help="postgresql+psycopg2://USER@HOST:PORT/DATABASE, without the password",
    )
    parser.add_argument(
        "--artifacts-destination",
        required=True,
        help="what the tracking servers get under the same name",
    )
    parser.add_argument(
        "--artifacts-service",
        default="",
        help="whose the destination is, when it is outside the deployment: an address",
    )
    parser.add_argument(
        "--trace-rollups",
        action="store_true",
        help="servers read rollups of traces; without it, those that are there are deleted",
    )
    parser.add_argument(
        "--users",
        action="store_true",
        help="servers have MLflow's users: make their tables, and the administrator, whose "
        "password is in /run/secrets/admin-password",
    )
    parser.add_argument(
        "--workspaces",
        action="store_true",
        help="servers have workspaces; without it, a database in which others than the default "
        "one are used is refused",
    )
    parser.add_argument("--lock-timeout", type=_seconds, default=120, help="seconds")
    parser.add_argument(
        "--servers-timeout",
        type=_seconds,
        default=60,
        help="seconds until servers have to be gone where the schema changes",
    )
    parser.add_argument("--connect-timeout", type=_seconds, default=60, help="seconds")
    return parser


def _database_uri(value: str) -> URL:
    try:
        uri = make_url(value)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError("not a database URI") from error
    if uri.drivername != "postgresql+psycopg2":
        raise argparse.ArgumentTypeError(
            f"the scheme is {uri.drivername!r}: give postgresql+psycopg2"
        )
    if uri.password is not None:
        raise argparse.ArgumentTypeError(
            "it carries a password: mount that at /run/secrets/database-password"
        )
    return uri


def _seconds(value: str) -> float:
    seconds = float(value)
    if not 0 < seconds < 86400:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 86400 seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
