"""Settings of the real client, set through its environment variables."""

import os
from collections.abc import MutableMapping

from workloads.target import access
from workloads.target.access import Access

SETTINGS = {
    "MLFLOW_HTTP_POOL_MAXSIZE": "64",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # To infer a model's requirements mlflow loads it in another process: 6 s of the client's CPU
    # and no call to the server. Without time for it, it takes the flavor's default requirements.
    "MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT": "0",
}
"""Settings of the client that differ from its defaults, by environment variable."""

_KEPT = "MLFLOW_TRACKING_"


def configure(tracking_uri: str, known: Access) -> None:
    """Set the client up through the environment; a person's own settings do not reach a run.

    Only `MLFLOW_TRACKING_*` (credentials, TLS) stay, where `known` has nothing else. To be called
    before mlflow is imported.
    """
    for variable in [v for v in os.environ if v.startswith("MLFLOW_")]:
        if not variable.startswith(_KEPT):
            del os.environ[variable]
    os.environ.update(SETTINGS, MLFLOW_TRACKING_URI=tracking_uri)
    access.install(known)


def publishing(environ: MutableMapping[str, str]) -> None:
    """Keep a person's own settings, as for a store of artifacts; only be quiet, and not patient.

    mlflow's client tries for minutes by default. To be called before mlflow is imported.
    """
    for name in ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"):
        environ.setdefault(name, SETTINGS[name])
    environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
