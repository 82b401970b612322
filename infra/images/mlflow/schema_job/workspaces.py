"""Workspaces in the database, which servers without them would show to everybody or to nobody."""

from sqlalchemy import Connection, text

from .messages import RefusalError

DEFAULT = "default"
"""What everything is in without workspaces."""

_TABLES = text(
    """
    SELECT table_name FROM information_schema.columns
     WHERE table_schema = current_schema() AND column_name = 'workspace' ORDER BY table_name
    """
)


def check(connection: Connection) -> None:
    """Raise RefusalError where anything is in a workspace other than the default one."""
    found: dict[str, int] = {}
    names: set[str] = set()
    for table in connection.scalars(_TABLES):
        rows = connection.execute(
            text(f'SELECT workspace, count(*) FROM "{table}" WHERE workspace <> :own GROUP BY 1'),  # noqa: S608
            {"own": DEFAULT},
        ).all()
        if rows:
            found[table] = sum(count for _, count in rows)
            names.update(name for name, _ in rows)
    if not found:
        return
    counted = ", ".join(f"{count} in {table}" for table, count in sorted(found.items()))
    raise RefusalError(
        f"the database has rows in the workspaces {', '.join(sorted(names))} ({counted}), which "
        "servers without workspaces do not keep apart: set workspaces true, or move or delete "
        "what is in them (docs/access.md)"
    )
