"""Which state a database is in, and so what may be done to it."""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, text

from .messages import RefusalError
from .record import SCHEMA

VERSION_TABLE = "alembic_version"

# Tables, views and their like of the whole database, without those of the system, of extensions
# and of the job itself. Names outside the connection's own schema carry theirs.
_RELATIONS = text(
    f"""
    SELECT CASE WHEN nspname = current_schema() THEN '' ELSE nspname || '.' END || relname
      FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
       AND nspname NOT IN ('information_schema', '{SCHEMA}') AND nspname NOT LIKE 'pg\\_%'
       AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass
                          AND objid = pg_class.oid AND deptype = 'e')
    """  # noqa: S608 (a constant)
)


class Action(StrEnum):
    """What the job has to do, as its last line names it."""

    CREATE = "created"
    UPGRADE = "upgraded"
    VERIFY = "verified"


@dataclass(frozen=True)
class Database:
    """What a database holds."""

    relations: frozenset[str]
    """Names of tables, views and their like."""

    revisions: tuple[str, ...]
    """Rows of the version table; empty when it has none or is absent."""


@dataclass(frozen=True)
class Image:
    """What the image's mlflow knows."""

    version: str
    """mlflow's version."""

    head: str
    """Its schema revision."""

    revisions: frozenset[str]
    """The head and every revision before it."""

    first_tables: frozenset[str]
    """Tables of MLflow's very first schema; every later one has them too."""


def read(connection: Connection) -> Database:
    """Look at the database without changing it."""
    relations = frozenset(connection.scalars(_RELATIONS))
    revisions: tuple[str, ...] = ()
    if VERSION_TABLE in relations:
        rows = connection.scalars(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
        revisions = tuple(sorted(rows))
    return Database(relations, revisions)


def decide(database: Database, image: Image) -> Action:
    """Say what brings the database to the image's head; RefusalError when nothing safe does."""
    relations = database.relations - {VERSION_TABLE}
    if not relations and not database.revisions:
        return Action.CREATE
    known = image.revisions.intersection(database.revisions)
    if not image.first_tables <= relations:
        if known:
            missing = ", ".join(sorted(image.first_tables - relations))
            raise RefusalError(
                f"the database is half-migrated: it says revision {min(known)} but lacks the "
                f"tables {missing}: restore a backup, or give an empty database"
            )
        example = min(relations or database.revisions)
        raise RefusalError(
            f"the database is not MLflow's: it holds {len(relations)} other tables, as "
            f"{example!r}: give an empty database, or the right one's URI"
        )
    if len(database.revisions) != 1:
        listed = ", ".join(database.revisions) or "none"
        raise RefusalError(
            f"the database is half-migrated: it has MLflow's tables and {len(database.revisions)} "
            f"schema revisions ({listed}) in place of one: restore a backup, or finish the "
            "migration with the mlflow that began it"
        )
    if not known:
        raise RefusalError(
            f"the database is newer than this image: it is at revision {database.revisions[0]}, "
            f"which mlflow {image.version} (revision {image.head}) does not know: use an image of "
            "the mlflow that wrote it, or a newer one"
        )
    return Action.VERIFY if database.revisions == (image.head,) else Action.UPGRADE
