"""A role is in one workspace, and a request about one says once which that is.

Whoever is an administrator of one workspace only may change its roles. MLflow decides by the first
of several fields that is there, and then does it to what another one names: such a one would make
and change roles of every workspace.
"""

# mypy: allow-untyped-calls

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import request
from mlflow.exceptions import MlflowException

FIELDS = ("role_id", "role_permission_id", "workspace")
"""Each says of which workspace a role is. MLflow's own clients send one of them."""


def refuse_several_roles(auth: Any) -> None:
    """Have `auth`, MLflow's module of users, refuse a request that says it in several fields."""
    find: Callable[[], str | None] = auth._get_role_workspace_from_request

    @wraps(find)
    def found() -> str | None:
        body = request.get_json(silent=True)
        given = {*request.args, *(body if isinstance(body, dict) else ())}
        named = [field for field in FIELDS if field in given]
        if len(named) > 1:
            raise MlflowException.invalid_parameter_value(
                f"The request names {' and '.join(named)}: give one of them."
            )
        return find()

    auth._get_role_workspace_from_request = found
