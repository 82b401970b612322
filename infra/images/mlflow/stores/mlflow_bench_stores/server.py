"""MLflow's server with artifacts that pass through it; `mlflow server --app-name mlflow-bench`.

MLflow's own answer to a download is a file that it has fetched before, sent without its length: a
client cannot tell when the end is missing. In a mounted folder it looks for the file on the event
loop, where a mount that hangs holds up every other request. And each piece of a body passes two
layers, of no use to artifacts, that start tasks for it and end an answer as if it were whole when
it is not.
"""

# mypy: allow-untyped-calls

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

HEALTH = "/health"
"""Says that the process lives. MLflow's own answer needs a thread, and those may all wait for a
database that hangs: a restart would not help then."""

_log = logging.getLogger(__name__)

ROUTES = ("/api/2.0/mlflow-artifacts/artifacts/", "/ajax-api/2.0/mlflow-artifacts/artifacts/")


def create() -> "ASGIApp":
    """Return MLflow's application, with one of its own for artifacts beside it."""
    from .encryption_keys import into_environment

    # Before MLflow's tables are imported, which look for one of them only then.
    into_environment()
    # Here, as MLflow's command line imports this module only to see what it holds.
    import json
    import os
    import posixpath

    from fastapi import FastAPI, Request, Response
    from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
    from graphql import GraphQLError
    from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
    from mlflow.exceptions import MlflowException
    from mlflow.server import app as flask_app
    from mlflow.server import (
        artifact_router,
        fastapi_app,
        handlers,
        otel_api,
    )
    from mlflow.server.constants import ARTIFACTS_DESTINATION_ENV_VAR
    from mlflow.server.fastapi_security import init_fastapi_security
    from mlflow.store.jobs.sqlalchemy_store import SqlAlchemyJobStore
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
    from mlflow.store.tracking import sqlalchemy_store
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.store.tracking.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
    from mlflow.utils.mime_type_utils import _guess_mime_type
    from mlflow.utils.uri import validate_path_is_safe
    from starlette.exceptions import HTTPException as AnsweredError
    from starlette.requests import ClientDisconnect
    from werkzeug.exceptions import HTTPException

    from . import access, judges, metrics, places, workspaces
    from .bodies import Bodies
    from .concurrency import ConcurrencyLimit, limit_requests, limit_sessions
    from .conflicts import models_again, writes_again
    from .folder import FolderRepository
    from .ingestion import Ingestion, bounded
    from .lost_secrets import live_without_lost_secrets
    from .ranges import NoPartError, Part, asks_for_a_version
    from .reading import ERRORS, unread, unreadable
    from .refusals import (
        as_invalid,
        need_an_experiment,
        refuse_unstorable,
        rename_only_what_is_active,
    )
    from .repository import ProxiedS3Repository
    from .run_limit import RunLimit

    async def download(artifact_path: str, request: Request) -> Response:
        store: FolderRepository | ProxiedS3Repository = artifact_router._get_artifact_repo()
        asked = request.headers
        try:
            path = validate_path_is_safe(artifact_path)
            place = artifact_router._get_workspace_scoped_path(path)
            headers = {
                "Content-Type": _guess_mime_type(path),
                "Content-Disposition": artifact_router._content_disposition(
                    posixpath.basename(path)
                ),
                "X-Content-Type-Options": "nosniff",
            }
            if request.method == "HEAD" or asks_for_a_version(asked):
                facts = await store.facts(place)
                headers |= facts.headers()
                if facts.unchanged(asked):
                    return Response(status_code=304, headers=headers)
                if request.method == "HEAD":
                    return Response(headers=headers | {"Content-Length": str(facts.size)})
            part = Part.read(asked.get("range"))
            version = asked.get("if-range")
            if part and version and not (await store.facts(place)).is_of(version):
                part = None  # before it is looked for: the present version may be shorter
            artifact = await store.open(place, part)
            if artifact.part is not None and version and not artifact.facts.is_of(version):
                artifact.close()
                artifact = await store.open(place)
        except NoPartError as error:
            none = {"Accept-Ranges": "bytes", "Content-Range": f"bytes */{error.size}"}
            return answer(MlflowException.invalid_parameter_value(str(error)), 416, none)
        except ValueError as error:
            return answer(MlflowException.invalid_parameter_value(f"Range: {error}"))
        except MlflowException as error:
            return answer(error)
        except Exception as error:
            return failed(error)
        headers |= artifact.facts.headers() | {"Content-Length": str(artifact.size)}
        if artifact.part is None:
            return StreamingResponse(artifact.chunks(), headers=headers)
        first, last = artifact.part[0], artifact.part[-1]
        headers["Content-Range"] = f"bytes {first}-{last}/{artifact.facts.size}"
        return StreamingResponse(artifact.chunks(), status_code=206, headers=headers)

    async def upload(artifact_path: str, request: Request) -> Response:
        try:
            stored: Response = await artifact_router.upload_artifact(artifact_path, request)
            return stored
        except ClientDisconnect:
            # Nobody hears it; an error of the server it is not.
            return Response(status_code=400)
        except AnsweredError:
            raise  # MLflow's own answer
        except Exception as error:
            return failed(error)

    def failed(error: Exception) -> Response:
        # One that is not caught closes the connection behind its answer: nginx may be sending the
        # next request on it, and leaves a replica out for two of those.
        _log.error("an artifact: %r", error, exc_info=error)
        return answer(MlflowException("The server failed; its log says why."), 500)

    def answer(
        error: MlflowException, status: int | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        content = json.loads(error.serialize_as_json())
        return JSONResponse(content, status or error.get_http_status_code(), headers)

    artifacts = FastAPI(openapi_url=None)
    init_fastapi_security(artifacts)
    for route in ROUTES:
        artifacts.add_api_route(route + "{artifact_path:path}", download, methods=["GET", "HEAD"])
        artifacts.add_api_route(route + "{artifact_path:path}", upload, methods=["PUT"])

    def refuse_unread(error: Exception) -> Any:
        mistake = None if isinstance(error, HTTPException) else unread(error)
        if mistake is None:
            raise error
        return flask_app.response_class(
            mistake.serialize_as_json(), 400, mimetype="application/json"
        )

    for kind in (*ERRORS, GraphQLError):
        flask_app.register_error_handler(kind, refuse_unread)

    limit = ConcurrencyLimit(int(os.environ["MLFLOW_BENCH_REQUESTS_AT_ONCE"]))
    flask_app.wsgi_app = limit_requests(flask_app.wsgi_app, limit)  # type: ignore[method-assign]
    for store in (SqlAlchemyStore, RegistryStore, SqlAlchemyJobStore):
        limit_sessions(store, limit)
        refuse_unstorable(store)
    live_without_lost_secrets()
    need_an_experiment(SqlAlchemyStore)
    rename_only_what_is_active(SqlAlchemyStore)
    writes_again(SqlAlchemyStore)
    models_again(RegistryStore)
    places.keep_places_of_traces(sqlalchemy_store)
    read_json = otel_api._convert_otlp_json_ids_to_base64
    otel_api._convert_otlp_json_ids_to_base64 = as_invalid(read_json)  # type: ignore[assignment]

    async def log_spans(self: SqlAlchemyStore, location: str, spans: list[Any]) -> list[Any]:
        # The event loop is the request's own (`ingestion`).
        logged: list[Any] = self.log_spans(location, spans)
        return logged

    SqlAlchemyStore.log_spans_async = log_spans  # type: ignore[assignment, method-assign]

    mlflow_app: ASGIApp = fastapi_app.app
    streamed: ASGIApp = artifacts
    users = access.CONFIG in os.environ
    if users:
        mlflow_app, gate = access.with_users(flask_app, limit)
        streamed = access.permitted(artifacts)
    apart = MLFLOW_ENABLE_WORKSPACES.get()
    who = access.asking_user if users else (lambda: None)
    if users or apart:
        workspaces.keep_paths_apart(handlers, lambda: (user := who()) is None or user.is_admin)
        places.refuse_own_sources(RegistryStore, os.environ[ARTIFACTS_DESTINATION_ENV_VAR])
    api = bounded(mlflow_app, Bodies(), Ingestion(mlflow_app, limit), RunLimit())

    async def application(scope: "Scope", receive: "Receive", send: "Send") -> None:
        passes = (
            scope["type"] == "http"
            and scope["method"] in ("GET", "HEAD", "PUT")
            and scope["path"].startswith(ROUTES)
        )
        if scope["type"] == "http" and scope["path"] == HEALTH:
            await PlainTextResponse("OK")(scope, receive, send)
            return
        if scope["type"] == "http":
            if (mistake := unreadable(scope)) is not None:
                await answer(mistake)(scope, receive, send)
                return
            # A name is the same in capitals; MLflow compares it as it comes.
            scope["headers"] = [
                (name, value.lower() if name == b"host" else value)
                for name, value in scope["headers"]
            ]
        await (streamed if passes else api)(scope, receive, send)

    def route_of(path: str, method: str) -> str:
        if path.startswith(ROUTES):
            return ROUTES[0]
        try:
            rule, _ = routes.match(path, method, return_rule=True)
        except HTTPException:
            return "other"
        return rule.rule

    whole: ASGIApp = application
    if apart:
        workspaces.refuse_traces_of_others(SqlAlchemyStore)
        workspaces.keep_places_of_the_default(WorkspaceAwareSqlAlchemyStore)
        whole = workspaces.within(whole, workspaces.of_database(users=users), who)
    if users:
        inside = whole
        whole = gate(inside)
        if judges_token := os.environ.get(judges.TOKEN):
            whole = judges.with_judges(whole, inside, judges_token)
    if metrics.FOLDER in os.environ:
        routes = flask_app.url_map.bind("")
        # Prometheus is no user.
        token = metrics.TOKEN_FILE.read_text().strip() if users else None
        whole = metrics.measured(whole, route_of, token)
    return whole
