"""MLflow's server with artifacts that pass through it; `mlflow server --app-name mlflow-bench`.

MLflow's own answer to a download is a file that it has fetched before, sent without its length: a
client cannot tell when the end is missing. And of an upload it takes each piece that the network
gives through layers that start two tasks for it; here they get larger pieces.
"""

# mypy: allow-untyped-calls

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CHUNK = 2**20
"""Bytes that pass through at once."""


def create() -> "ASGIApp":
    """Return MLflow's application with our route before its own, and larger pieces of uploads."""
    # Here, as MLflow's command line imports this module only to see what it holds.
    import json
    import posixpath

    from fastapi import Response
    from fastapi.responses import JSONResponse, StreamingResponse
    from mlflow.exceptions import MlflowException
    from mlflow.server import artifact_router, fastapi_app
    from mlflow.utils.mime_type_utils import _guess_mime_type
    from mlflow.utils.uri import validate_path_is_safe

    from .repository import ProxiedS3Repository

    async def download(artifact_path: str) -> Response:
        store = artifact_router._get_artifact_repo()
        if not isinstance(store, ProxiedS3Repository):
            answer: Response = await artifact_router.download_artifact(artifact_path)
            return answer
        try:
            path = validate_path_is_safe(artifact_path)
            found = await store.open(artifact_router._get_workspace_scoped_path(path))
        except MlflowException as error:
            content = json.loads(error.serialize_as_json())
            return JSONResponse(content, status_code=error.get_http_status_code())
        name = posixpath.basename(path)
        return StreamingResponse(
            found.chunks(),
            headers={
                "Content-Length": str(found.size),
                "Content-Type": _guess_mime_type(path),
                "Content-Disposition": artifact_router._content_disposition(name),
                "X-Content-Type-Options": "nosniff",
            },
        )

    app = fastapi_app.app
    for root in ("/api", "/ajax-api"):
        route = root + "/2.0/mlflow-artifacts/artifacts/{artifact_path:path}"
        app.add_api_route(route, download, methods=["GET"])
        app.router.routes.insert(0, app.router.routes.pop())

    async def application(scope: "Scope", receive: "Receive", send: "Send") -> None:
        upload = scope["type"] == "http" and scope["method"] == "PUT"
        await app(scope, gathered(receive) if upload else receive, send)

    return application


def gathered(receive: "Receive") -> "Receive":
    """Return `receive` with the pieces of a body put together to `CHUNK` bytes or more."""

    async def receive_more() -> "Message":
        content = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            content.append(message.get("body", b""))
            size += len(content[-1])
            if size >= CHUNK or not message.get("more_body"):
                return {**message, "body": b"".join(content)}

    return receive_more
