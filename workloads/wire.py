"""What each call of MLflow's REST API is named, and what it asks the server to keep.

Read from the requests themselves, so that everything the client sends is known, autologging's
calls too. Routes and fields: MLflow's REST API reference.
"""

import hashlib
import io
import json
import math
import re
from typing import Any
from urllib.parse import unquote, urlsplit

from workloads.history import Kind, Write

REGISTRY = "registry"
"""Owner of registered models, which belong to no experiment."""

TOKEN_TAG = "mlflow-bench.token"
"""Tag with a value of its own for each run that a user creates, so that doubles show."""

_API = re.compile(r"^/(?:ajax-)?api/\d\.\d/(?:mlflow/)?")
_MODEL_ID = re.compile(r"(?<=logged-models/)m-[0-9a-f]+")
_ARTIFACT = re.compile(r"^mlflow-artifacts/artifacts/(?P<root>.+?)/artifacts/(?P<path>.+)$")


def route(url: str) -> str:
    """Path of the call below the API's prefix, as `runs/log-batch`."""
    return _API.sub("", unquote(urlsplit(url).path))


def name(method: str, path: str) -> str:
    """Name of the call with ids and paths taken out, as `PUT artifact` or `POST runs/create`."""
    if path.startswith("mlflow-artifacts/"):
        return f"{method} artifact" if _ARTIFACT.match(path) else f"{method} artifacts"
    return f"{method} {_MODEL_ID.sub('{id}', path)}"


def writes(method: str, path: str, body: dict[str, Any], data: Any) -> list[Write]:
    """What the call asks to be kept; empty for a call that only reads.

    `body` is the JSON body ({} if none), `data` the raw body or an open file (an artifact).
    """
    if method == "GET":
        return []
    run = body.get("run_id") or body.get("run_uuid")
    match path:
        case "runs/create":
            tags = {t["key"]: t["value"] for t in body.get("tags", [])}
            if "run_name" in body:
                tags.setdefault("mlflow.runName", body["run_name"])  # as the server keeps it
            made = Write(Kind.RUN, body["experiment_id"], tags.get(TOKEN_TAG, ""), None)
            begun = Write(Kind.STATUS, None, "status", "RUNNING")
            return [made, begun, *(Write(Kind.TAG, None, k, v) for k, v in tags.items())]
        case "runs/update":
            return [Write(Kind.STATUS, run, "status", body["status"])] if "status" in body else []
        case "runs/log-batch":
            return [
                *(Write(Kind.PARAM, run, p["key"], p["value"]) for p in body.get("params", [])),
                *(Write(Kind.METRIC, run, m["key"], _point(m)) for m in body.get("metrics", [])),
                *(Write(Kind.TAG, run, t["key"], t["value"]) for t in body.get("tags", [])),
            ]
        case "runs/log-parameter":
            return [Write(Kind.PARAM, run, body["key"], body["value"])]
        case "runs/log-metric":
            return [Write(Kind.METRIC, run, body["key"], _point(body))]
        case "runs/set-tag":
            return [Write(Kind.TAG, run, body["key"], body["value"])]
        case "runs/log-inputs":
            sets = [d["dataset"] for d in body.get("datasets", [])]
            return [Write(Kind.DATASET, run, d["name"], d["digest"]) for d in sets]
        case "runs/outputs":
            models = body.get("models", [])
            return [Write(Kind.OUTPUT, run, m["model_id"], str(m.get("step", 0))) for m in models]
        case "logged-models":
            key = f"{body.get('source_run_id', '')}/{body['name']}"
            return [
                Write(Kind.MODEL, body["experiment_id"], key, None),
                Write(Kind.STATUS, None, "status", "PENDING"),
                *(Write(Kind.PARAM, None, p["key"], p["value"]) for p in body.get("params", [])),
                *(Write(Kind.TAG, None, t["key"], t["value"]) for t in body.get("tags", [])),
            ]
        case "registered-models/create":
            registered = body["name"]
            return [
                Write(Kind.REGISTERED, REGISTRY, registered, registered),
                *(Write(Kind.TAG, registered, t["key"], t["value"]) for t in body.get("tags", [])),
            ]
        case "registered-models/alias" if method == "POST":
            return [Write(Kind.ALIAS, body["name"], body["alias"], str(body["version"]))]
        case "model-versions/create":
            tags = {t["key"]: t["value"] for t in body.get("tags", [])}
            made = Write(Kind.VERSION, body["name"], tags.get(TOKEN_TAG, ""), None)
            return [made, *(Write(Kind.TAG, None, k, v) for k, v in tags.items())]
        case "model-versions/set-tag":
            version = f"{body['name']}/{body['version']}"
            return [Write(Kind.TAG, version, body["key"], body["value"])]
    if method == "PATCH" and (model := _MODEL_ID.search(path)) and "status" in body:
        return [Write(Kind.STATUS, model[0], "status", body["status"].split("_")[-1])]
    if method == "PUT" and (artifact := _ARTIFACT.match(path)):
        return [Write(Kind.ARTIFACT, owner(artifact["root"]), artifact["path"], sha256(data))]
    return []


def created(path: str, answer: bytes) -> str | None:
    """Id of the run, logged model or model version that the call created; None: none.

    That of a version is its model's name and its number, as `churn/3`.
    """
    match path:
        case "runs/create":
            return str(json.loads(answer)["run"]["info"]["run_id"])
        case "logged-models":
            return str(json.loads(answer)["model"]["info"]["model_id"])
        case "model-versions/create":
            made = json.loads(answer)["model_version"]
            return f"{made['name']}/{made['version']}"
    return None


def registered_name(experiment_id: str, token: str) -> str:
    """Name of a registered model that belongs to the run with this experiment."""
    return f"{registered_prefix(experiment_id)}{token}"


def registered_prefix(experiment_id: str) -> str:
    """How the names of all registered models of a run begin."""
    return f"mlflow-bench-{experiment_id}-"


def owner(root: str) -> str:
    """Run or model id in an artifact root, as `1/models/m-…` or `1/<run id>`."""
    return root.rsplit("/", 1)[-1]


def point(step: int, timestamp_ms: int, value: float) -> str:
    """A metric point as it is compared."""
    return json.dumps([step, timestamp_ms, "NaN" if math.isnan(value) else value])


def _point(metric: dict[str, Any]) -> str:
    return point(int(metric.get("step", 0)), int(metric["timestamp"]), float(metric["value"]))


def sha256(data: Any) -> str:
    """Hex digest of bytes, text or an open binary file, which is read from and set back."""
    if data is None:
        return hashlib.sha256(b"").hexdigest()
    if isinstance(data, str | bytes):
        return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()
    here = data.tell()
    digest = hashlib.file_digest(data, "sha256").hexdigest()
    data.seek(here, io.SEEK_SET)
    return digest
