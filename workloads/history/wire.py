"""Names of the calls of MLflow's REST API, and values in the form in which they are compared.

Read from the requests themselves, so that calls of autologging are known, too. Routes and fields:
MLflow's REST API reference.
"""

import hashlib
import io
import json
import math
import re
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

REGISTRY = "registry"
"""Owner of registered models, which belong to no experiment."""

TOKEN_TAG = "mlflow-bench.token"
"""Tag with a unique value for each run that a user creates, which shows duplicates."""

NAN = '"NaN"'

_API = re.compile(
    r"^.*?/(?:ajax-)?api/\d\.\d/(?:mlflow/)?|^.*/(?=(?:v1/(?:traces|metrics)|version)$)"
)
_MODEL_ID = re.compile(r"(?<=logged-models/)m-[0-9a-f]+")
_TAG_KEY = re.compile(r"(?<=/tags/).+")
_ID = re.compile(r"(?<=/)(?:[a-z]{1,3}-)?[0-9a-f][0-9a-f-]{14,}[0-9a-f](?=/|$)")
_PARTS = re.compile(r"^mlflow-artifacts/(mpu/\w+)/")
_ARTIFACT = re.compile(r"^mlflow-artifacts/artifacts/(?P<root>.+?)/artifacts/(?P<path>.+)$")


def route(url: str) -> str:
    """Path of the call below the API's prefix, as `runs/log-batch`; OTLP's are `v1/traces`."""
    return _API.sub("", unquote(urlsplit(url).path))


def name(method: str, path: str) -> str:
    """Name of the call with ids and paths taken out, as `PUT artifact` or `POST runs/create`."""
    if path.startswith("mlflow-artifacts/"):
        if parts := _PARTS.match(path):
            return f"{method} artifacts/{parts[1]}"
        return f"{method} artifact" if _ARTIFACT.match(path) else f"{method} artifacts"
    without = _TAG_KEY.sub("{key}", path)
    return f"{method} {_ID.sub('{id}', _MODEL_ID.sub('{id}', without))}"


def artifact(path: str) -> tuple[str, str] | None:
    """Return the root and the path below it of an artifact's route; None: it is another one."""
    match = _ARTIFACT.match(path)
    return (match["root"], match["path"]) if match else None


def model_id(path: str) -> str:
    """Return the id of the logged model that a route is about."""
    return path.split("/")[1]


def created(path: str, answer: bytes) -> str | None:
    """Id of the run, experiment, logged model, version or the like that the call created, if any.

    That of a version is its model's name and its number, as `churn/3`, that of an assessment its
    trace's id and its own.
    """
    match path:
        case "runs/create":
            return str(json.loads(answer)["run"]["info"]["run_id"])
        case "experiments/create":
            return str(json.loads(answer)["experiment_id"])
        case "logged-models":
            return str(json.loads(answer)["model"]["info"]["model_id"])
        case "model-versions/create":
            version = json.loads(answer)["model_version"]
            return f"{version['name']}/{version['version']}"
        case "datasets/create":
            return str(json.loads(answer)["dataset"]["dataset_id"])
    if path.startswith("traces/") and path.endswith("/assessments"):
        return f"{path.split('/')[1]}/{json.loads(answer)['assessment']['assessment_id']}"
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
    """A metric point as it is compared; the server keeps the largest double for infinity."""
    if math.isinf(value):
        value = math.copysign(sys.float_info.max, value)
    # As json.dumps has it, in a fifth of the time: each point of a load passes here.
    return f"[{step}, {timestamp_ms}, {NAN if math.isnan(value) else repr(value)}]"


def model_point(metric: Mapping[str, Any], run_id: str) -> tuple[str, str]:
    """Key and value of a logged model's metric, as they are compared.

    The server keeps one for a model, name, run, step and time, and 0 for NaN. `metric` has the
    names of the REST API.
    """
    value = float(metric["value"])
    if math.isinf(value):
        value = math.copysign(sys.float_info.max, value)
    step, timestamp_ms = int(metric.get("step") or 0), int(metric["timestamp"])
    of = " ".join(str(metric.get(key) or "") for key in ("dataset_name", "dataset_digest"))
    at = f"step {step}, {timestamp_ms} ms, run {run_id}"
    return f"{metric['key']} ({at})", f"{0.0 if math.isnan(value) else value!r} {of}".strip()


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
