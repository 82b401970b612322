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

_FOLLOW = text(
    """
    UPDATE guardrail_configs SET workspace = endpoints.workspace FROM endpoints
     WHERE endpoints.endpoint_id = guardrail_configs.endpoint_id
       AND endpoints.workspace <> guardrail_configs.workspace
    """
)
"""MLflow leaves them where they were when it moves all else of a workspace, and nobody can move
them by hand."""


def check(connection: Connection) -> None:
    """Raise RefusalError where anything is in a workspace other than the default one."""
    found: dict[str, int] = {}
    names: set[str] = set()
    tables = list(connection.scalars(_TABLES))
    if {"guardrail_configs", "endpoints"} <= set(tables):
        connection.execute(_FOLLOW)
    for table in tables:
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
