"""Deletes traces that are older than the deployment keeps them."""

# mypy: allow-untyped-calls

from typing import Any

from mlflow.entities import ViewType
from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
from mlflow.utils.workspace_context import ServerWorkspaceContext

BATCH = 100
"""Traces of one transaction; MLflow's client asks for as many."""

MILLISECONDS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def milliseconds(age: str) -> int:
    """Return the milliseconds of an age as `90m`, `12h` or `30d`."""
    return int(age[:-1]) * MILLISECONDS[age[-1]]


def delete_older(store: Any, age: str, now_ms: int) -> int:
    """Delete the traces of all experiments that began longer than `age` ago; return how many.

    `store` is MLflow's tracking store. It removes what is archived of them, too. Where there are
    workspaces, it shows one at a time.
    """
    cutoff = now_ms - milliseconds(age)
    if not MLFLOW_ENABLE_WORKSPACES.get():
        return _delete(store, cutoff)
    deleted = 0
    for workspace in store._get_workspace_provider_instance().list_workspaces():
        with ServerWorkspaceContext(workspace.name):
            deleted += _delete(store, cutoff)
    return deleted


def _delete(store: Any, cutoff: int) -> int:
    deleted = 0
    for experiment in _experiments(store):
        while True:
            some = store.delete_traces(experiment, max_timestamp_millis=cutoff, max_traces=BATCH)
            deleted += some
            # Fewer, too, where an archive could not be removed: the next pass tries again.
            if some < BATCH:
                break
    return deleted


def _experiments(store: Any) -> list[str]:
    found: list[str] = []
    token = None
    while True:
        page = store.search_experiments(view_type=ViewType.ALL, page_token=token)
        found += [one.experiment_id for one in page]
        token = page.token
        if not token:
            return found
