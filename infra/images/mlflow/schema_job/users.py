"""MLflow's users: their tables and their administrator, in the job's transaction.

They are in a PostgreSQL schema of their own: MLflow's two sets of migrations know nothing of each
other, and a name like `users` or `roles` may be taken in the other one some day.
"""

import os
import warnings
from pathlib import Path

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from mlflow.version import VERSION
from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError
from werkzeug.security import check_password_hash, generate_password_hash

from . import sessions
from .messages import FailureError, RefusalError

SCHEMA = "mlflow_auth"
"""PostgreSQL schema of the users, apart from runs and models."""

ADMINISTRATOR = "admin"

PASSWORD_FILE = Path("/run/secrets/admin-password")

VERSION_TABLE = "alembic_version_auth"


def prepare(connection: Connection, password: str, servers_timeout: float) -> None:
    """Bring the tables to the image's head, and give the administrator this password.

    Where they change, servers have to be gone in so many seconds. Raises RefusalError when the
    tables must not be used, or are used by servers.
    """
    # `IF NOT EXISTS` asks for the right to create one, also where it is there.
    if connection.scalar(text(f"SELECT to_regnamespace('{SCHEMA}')")) is None:
        connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    connection.execute(text(f"SET LOCAL search_path TO {SCHEMA}"))
    _upgrade(connection, servers_timeout)
    _set_administrator(connection, password)
    connection.execute(text("SET LOCAL search_path TO DEFAULT"))


def password() -> str:
    """Return the administrator's password; raises FailureError where there is none."""
    try:
        return PASSWORD_FILE.read_text().strip()
    except OSError as error:
        raise FailureError(
            f"{PASSWORD_FILE}: {error.strerror}: mount the administrator's password there"
        ) from error


def _upgrade(connection: Connection, servers_timeout: float) -> None:
    # Here, as they load MLflow's server, which is not the job's to be warned of.
    # Its settings are the servers' files, which the job has not.
    os.environ.pop("MLFLOW_AUTH_CONFIG_PATH", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.server.auth.db import utils
        from mlflow.server.auth.db.models import Base

    config = utils._get_alembic_config("")
    scripts = ScriptDirectory.from_config(config)
    options = {"version_table": VERSION_TABLE}
    found = MigrationContext.configure(connection, opts=options).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise RefusalError(
            f"the tables of users are newer than this image: they are at revision {found}, which "
            "it does not know: use an image of the mlflow that wrote them, or a newer one"
        )

    if found is not None and found not in scripts.get_heads():
        sessions.wait_until_none(connection, servers_timeout, VERSION)

    def steps(current: object, _: MigrationContext) -> object:
        return scripts._upgrade_revs("head", current)  # type: ignore[arg-type]

    with EnvironmentContext(config, scripts, fn=steps, destination_rev="head") as environment:
        environment.configure(
            connection=connection, target_metadata=Base.metadata, version_table=VERSION_TABLE
        )
        try:
            with environment.begin_transaction():
                environment.run_migrations()
        except DBAPIError as error:
            if isinstance(error, OperationalError):
                raise
            raise RefusalError(
                f"the tables of users are half-migrated ({error.orig}): restore a backup"
            ) from error


def _set_administrator(connection: Connection, password: str) -> None:
    """Whoever has lost the password, or restored another stack's users, gets in with this one."""
    from mlflow.server.auth.db.models import SqlUser

    users = SqlUser.__table__
    row = connection.execute(
        select(users.c.password_hash, users.c.is_admin).where(users.c.username == ADMINISTRATOR)
    ).one_or_none()
    if row is not None and row.is_admin and check_password_hash(row.password_hash, password):
        return
    values = {"password_hash": generate_password_hash(password), "is_admin": True}
    if row is None:
        connection.execute(insert(users).values(username=ADMINISTRATOR, **values))
        return
    connection.execute(update(users).where(users.c.username == ADMINISTRATOR).values(values))
