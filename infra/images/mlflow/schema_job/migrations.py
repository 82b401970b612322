"""MLflow's own schema and migrations, run on the job's connection and so in its transaction."""

import time

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from mlflow.entities import LifecycleStage
from mlflow.entities.experiment import Experiment
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils
from mlflow.store.db.base_sql_model import Base
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from mlflow.store.tracking.dbmodels.models import SqlExperiment
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME
from mlflow.version import VERSION
from sqlalchemy import Connection, inspect
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError

from .messages import RefusalError
from .states import Image

PROXY_SCHEME = "mlflow-artifacts:"
"""Scheme of artifact locations that go through the tracking server."""

# What mlflow's migrations raise about rows or tables that they did not expect.
_MISFITS = (RuntimeError, MlflowException)


class Migrations:
    """The migrations that the installed mlflow carries."""

    def __init__(self) -> None:
        self._config: Config = utils._get_alembic_config(db_url="")  # type: ignore[no-untyped-call]
        self._scripts = ScriptDirectory.from_config(self._config)

    def image(self) -> Image:
        """Describe the installed mlflow."""
        heads = self._scripts.get_heads()
        if len(heads) != 1:
            raise RefusalError(
                f"this image's mlflow {VERSION} has {len(heads)} schema heads in place of one: "
                "its migrations have to be merged first"
            )
        return Image(
            version=VERSION,
            head=heads[0],
            revisions=frozenset(script.revision for script in self._scripts.walk_revisions()),
            first_tables=frozenset(InitialBase.metadata.tables),
        )

    def create(self, connection: Connection) -> None:
        """Create the first schema and upgrade it, as mlflow does with an empty database."""
        InitialBase.metadata.create_all(connection)
        self.upgrade(connection)

    def upgrade(self, connection: Connection, revision: str = "head") -> None:
        """Upgrade to the revision, inside the connection's transaction.

        mlflow's own env.py would open a connection of its own; alembic joins the transaction of
        the one that it is given.

        Raises RefusalError when a migration does not fit what is there.
        """

        def steps(current: object, _: MigrationContext) -> object:
            return self._scripts._upgrade_revs(revision, current)  # type: ignore[arg-type]

        environment = EnvironmentContext(
            self._config,
            self._scripts,
            fn=steps,
            destination_rev=revision,
        )
        with environment:
            environment.configure(
                connection=connection, target_metadata=Base.metadata, render_as_batch=True
            )
            try:
                with environment.begin_transaction():
                    environment.run_migrations()
            except (*_MISFITS, DBAPIError) as error:
                if isinstance(error, OperationalError):
                    raise
                raise RefusalError(
                    "the database is half-migrated: a migration does not fit its content "
                    f"({getattr(error, 'orig', error)}): restore a backup"
                ) from error


def check_tables(connection: Connection) -> None:
    """Compare tables and columns with mlflow's models; RefusalError when a server would fail.

    A column too many is accepted as long as rows can be written without it.
    """
    columns = {
        table: listed for (_, table), listed in inspect(connection).get_multi_columns().items()
    }
    wrong = []
    for name, table in Base.metadata.tables.items():
        if name not in columns:
            wrong.append(f"table {name} is missing")
            continue
        expected = {column.name for column in table.columns}
        present = {column["name"] for column in columns[name]}
        wrong += [f"column {name}.{column} is missing" for column in sorted(expected - present)]
        wrong += [
            f"column {name}.{column['name']} is unknown and must be filled"
            for column in columns[name]
            if column["name"] not in expected
            and not column["nullable"]
            and column["default"] is None
        ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise RefusalError(
            f"the database is half-migrated: {', '.join(wrong[:3])}{more}, against its revision: "
            "restore a backup"
        )


def add_default_experiment(connection: Connection) -> None:
    """Write the experiment 0 that a server makes at its first start, unless it is there.

    Servers that start together would each try to, and all but one fail.
    """
    now = int(time.time() * 1000)
    row = {
        "experiment_id": 0,
        "name": Experiment.DEFAULT_EXPERIMENT_NAME,
        "artifact_location": f"{PROXY_SCHEME}/0",
        "lifecycle_stage": LifecycleStage.ACTIVE,
        "creation_time": now,
        "last_update_time": now,
        "workspace": DEFAULT_WORKSPACE_NAME,
    }
    # The table, not the class: that would set up every model of mlflow.
    connection.execute(insert(SqlExperiment.__table__).values(row).on_conflict_do_nothing())
