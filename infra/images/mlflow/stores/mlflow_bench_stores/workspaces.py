"""The workspace that a request is for, and whether whoever sends it has a part in that.

MLflow looks for a workspace in its database on the event loop, up to twice a request, and asks
route by route what a user may do there; a route that is forgotten shows everybody's. Here both are
asked once, before any route, in a thread. What MLflow lets through between two workspaces all the
same is shut here, too.
"""

# mypy: allow-untyped-calls

import json
import re
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter, to_thread
from cachetools import TTLCache
from mlflow.entities import Workspace
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED, RESOURCE_DOES_NOT_EXIST
from mlflow.store.workspace.abstract_store import WorkspaceNameValidator
from mlflow.utils.uri import append_to_uri_path
from mlflow.utils.workspace_context import ServerWorkspaceContext, get_request_workspace
from mlflow.utils.workspace_utils import DEFAULT_WORKSPACE_NAME as DEFAULT
from mlflow.utils.workspace_utils import WORKSPACES_DIR_NAME

from .access import OPEN, OPEN_FOLDER, SERVER_INFO, User
from .conflicts import LeftOutError
from .paths import clean, refused, shortened

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

HEADER = b"x-mlflow-workspace"

ANYWHERE = re.compile(
    r"/|/signup"
    r"|/(?:ajax-)?api/[23]\.0/mlflow/(?:users|roles|workspaces|ui-telemetry)(?:/.*)?"
)
"""Paths that a user without a part in any workspace may ask for, where none is named. They are
about users, roles and workspaces, and MLflow says for each who may do it."""

FOLDERS = (WORKSPACES_DIR_NAME, "trace-archive")
"""Folders of the artifact store that have all workspaces' own. The default one's artifacts are
beside them."""

LOOKUPS = 4
"""Requests that a worker looks up at once; each takes a connection."""

_active: ContextVar[str | None] = ContextVar("workspace", default=None)


class Workspaces:
    """Says which workspace a request is for.

    `exists` tells whether there is one of a name, `of_user` in which a user has a part; without it
    there are no users, and everybody has one in all. Both may wait for the database.
    """

    def __init__(
        self, exists: Callable[[str], bool], of_user: Callable[[str], set[str]] | None
    ) -> None:
        self._exists = exists
        self._of_user = of_user
        self._lookups = CapacityLimiter(LOOKUPS)

    async def of(self, scope: "Scope", user: User | None) -> str:
        """Return the workspace's name; `user` is None where nobody is asked who they are.

        Raises `MlflowException` where there is none of that name, or it is others'.
        """
        path = scope["path"]
        # Nothing there is of any workspace, and who asks may be nobody.
        if path in (*SERVER_INFO, *OPEN) or path.startswith(OPEN_FOLDER):
            return DEFAULT
        given = [value for name, value in scope["headers"] if name == HEADER]
        # Of two, another part of the server might believe the other one.
        if len(given) > 1:
            raise MlflowException.invalid_parameter_value("The request names several workspaces.")
        named = given[0].decode("latin-1").strip() if given else ""
        name = named or DEFAULT
        if name != DEFAULT:
            WorkspaceNameValidator.validate(name)
        if self._of_user is None or (user is not None and user.is_admin):
            if name != DEFAULT and not await self._ask(self._exists, name):
                raise MlflowException(f"Workspace '{name}' not found", RESOURCE_DOES_NOT_EXIST)
            return name
        # Nobody else is told whether there is one of that name.
        if user is None:
            raise _denied(name)
        if not named and ANYWHERE.fullmatch(path):
            return name
        if name not in await self._ask(self._of_user, user.username):
            raise _denied(name)
        if name != DEFAULT and not await self._ask(self._exists, name):
            raise _denied(name)
        return name

    async def _ask(self, question: Callable[[str], Any], name: str) -> Any:
        return await to_thread.run_sync(question, name, limiter=self._lookups)


def _denied(name: str) -> MlflowException:
    return MlflowException(
        f"You have no part in the workspace '{name}': name one of yours, as by MLFLOW_WORKSPACE.",
        PERMISSION_DENIED,
    )


def within(
    application: "ASGIApp", workspaces: Workspaces, who: Callable[[], User | None]
) -> "ASGIApp":
    """Return `application`, with each request in its workspace; `who` sends the one in work."""

    async def whole(scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        try:
            name = await workspaces.of(scope, who())
        except MlflowException as error:
            await _answer(send, error)
            return
        token = _active.set(name)
        try:
            with ServerWorkspaceContext(name):
                await application(scope, receive, send)
        finally:
            _active.reset(token)

    return whole


async def _answer(send: "Send", error: MlflowException) -> None:
    content = json.loads(error.serialize_as_json())
    body = json.dumps(content).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    status = error.get_http_status_code()
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def of_database(*, users: bool) -> Workspaces:
    """Return what looks in MLflow's own tables, and have MLflow believe it.

    With users, their application has to be made before.
    """
    from mlflow.server import fastapi_app, workspace_helpers
    from mlflow.store.workspace.dbmodels import SqlWorkspace

    helpers: Any = workspace_helpers
    resolve = helpers.resolve_workspace_for_request_if_enabled

    def resolved(path: str, header: str | None) -> Any:
        name = _active.get()
        return resolve(path, header) if name is None else Workspace(name=name)

    modules: list[Any] = [helpers, fastapi_app]

    def exists(name: str) -> bool:
        with helpers._get_workspace_store().ManagedSessionMaker() as session:
            return session.get(SqlWorkspace, name) is not None

    of_user = None
    if users:
        from mlflow.server import auth

        modules.append(auth)
        known: Any = auth._RESOURCE_WORKSPACE_CACHE
        auth._RESOURCE_WORKSPACE_CACHE = _Known(known.maxsize, known.ttl)
        of_user = _of_user(auth.store)
    for module in modules:
        module.resolve_workspace_for_request_if_enabled = resolved
    return Workspaces(exists, of_user)


class _Known(TTLCache[str, str | None]):
    """What MLflow remembers of where things are, without what was nowhere.

    It would deny for an hour what was asked for before it was made.
    """

    def __setitem__(self, key: str, value: str | None, *rest: Any) -> None:
        if value is not None:
            super().__setitem__(key, value, *rest)


def _of_user(store: Any) -> Callable[[str], set[str]]:
    """Return what finds a user's workspaces.

    They are those in which the user has a role. In the default one it is enough to have been given
    a permission for anything: there is what was there before there were workspaces.
    """
    from mlflow.server.auth.db.models import (
        SqlRole,
        SqlRolePermission,
        SqlUser,
        SqlUserRoleAssignment,
    )
    from mlflow.server.auth.permissions import get_permission

    # It comes before the request, which waits for a slot.
    sessions = store.ManagedSessionMaker.without_slot

    def found(username: str) -> set[str]:
        with sessions(read_only=True) as session:
            rows = (
                session.query(
                    SqlRole.workspace,
                    SqlRole.name,
                    SqlRolePermission.resource_type,
                    SqlRolePermission.permission,
                )
                .join(SqlUserRoleAssignment, SqlUserRoleAssignment.role_id == SqlRole.id)
                .join(SqlUser, SqlUser.id == SqlUserRoleAssignment.user_id)
                .outerjoin(SqlRolePermission, SqlRolePermission.role_id == SqlRole.id)
                .filter(SqlUser.username == username)
                .all()
            )
        return {
            workspace
            for workspace, role, kind, permission in rows
            # A user's own permissions are kept as a role of one.
            if not store._is_synthetic_role_name(role)
            or (
                permission is not None
                and get_permission(permission).can_read
                and (kind == "workspace" or workspace == DEFAULT)
            )
        }

    return found


def keep_paths_apart(handlers: Any, sees_all: Callable[[], bool]) -> None:
    """Have `handlers`, MLflow's module, give nobody in the default workspace others' artifacts.

    MLflow compares how a path begins, and takes `./workspaces/…` for one of the default workspace.
    Archived spans of all are in one folder, which only servers read. Who sees all may name any path
    there, as a backup does. It holds without workspaces, too: MLflow finds no experiment in such a
    path, and gives it to whoever may read what nobody gave a permission for.
    """
    scope: Callable[[str | None], str | None] = handlers._get_workspace_scoped_repo_path_if_enabled

    @wraps(scope)
    def scoped(path: str | None) -> str | None:
        workspace = get_request_workspace()
        if not path or workspace not in (None, DEFAULT):
            return scope(path)
        if sees_all():
            return path
        if clean(path).partition("/")[0] in FOLDERS:
            raise refused(
                f"'{shortened(path)}' is not in the workspace '{DEFAULT}'."
                if workspace
                else f"'{shortened(path)}' is an administrator's."
            )
        return scope(path)

    handlers._get_workspace_scoped_repo_path_if_enabled = scoped


def keep_places_of_the_default(store: type[Any]) -> None:
    """Have `store`, MLflow's of runs, put the default workspace's artifacts where they always were.

    MLflow has `workspaces/default/` for new experiments, which the web interface's uploads miss;
    and servers without workspaces make them beside it again.
    """
    locate: Callable[..., str] = store._get_artifact_location

    @wraps(locate)
    def located(self: Any, experiment_id: Any, workspace: str | None = None) -> str:
        location = locate(self, experiment_id, workspace)
        root, names = self.artifact_root_uri, (WORKSPACES_DIR_NAME, DEFAULT, str(experiment_id))
        if location != append_to_uri_path(root, *names):
            return location
        return str(append_to_uri_path(root, names[-1]))

    store._get_artifact_location = located


def refuse_traces_of_others(store: type[Any]) -> None:
    """Have `log_spans` of `store`, MLflow's of runs, say what is of another workspace's traces.

    Services of several teams may send spans of one trace, which is in one workspace: that of the
    first. It will not change, so the others' are refused, and not asked for again.
    """
    from mlflow.store.tracking.dbmodels.models import SqlTraceInfo

    log: Callable[..., Any] = store.log_spans

    @wraps(log)
    def log_spans(self: Any, location: str, spans: list[Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return log(self, location, spans, *args, **kwargs)
        except LeftOutError:
            ids = {span.trace_id for span in spans}
            with self.ManagedSessionMaker() as session:
                known = session.query(SqlTraceInfo.request_id).filter(
                    SqlTraceInfo.request_id.in_(ids)
                )
                own = self._trace_query(session).with_entities(SqlTraceInfo.request_id)
                own = own.filter(SqlTraceInfo.request_id.in_(ids))
                others = sorted({row[0] for row in known} - {row[0] for row in own})
            if not others:
                raise
            raise MlflowException.invalid_parameter_value(
                f"Spans of {len(others)} traces are refused, as of {others[0]}: another workspace "
                "has that trace."
            ) from None

    store.log_spans = log_spans
