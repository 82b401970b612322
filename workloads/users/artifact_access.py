"""How files get from a user to the artifact store and back."""

import os
from pathlib import Path
from typing import Any, Protocol

import mlflow
import requests
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.tracking import MlflowClient

from workloads import CannotRunError
from workloads.plan.plan import Plan
from workloads.readback.stores import bucket_of
from workloads.scenarios.artifacts import Via
from workloads.target import target

PRESIGNED = {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(11 * 10**6)}
"""By default the client asks for URLs from 500 MB on. Its parts have 10 MiB and S3 takes none under
5 MiB, so smaller files go through the server in any case."""

BLOCK = 2**20


class Transfer(Protocol):
    """Moves files of one run."""

    def upload(self, run_id: str, file: Path) -> None:
        """Store the file under its name."""

    def download(self, run_id: str, name: str, folder: Path) -> Path:
        """Fetch a file into `folder`."""


class ClientTransfer:
    """By MLflow's client."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def upload(self, run_id: str, file: Path) -> None:
        """Store the file under its name."""
        self._client.log_artifact(run_id, str(file))

    def download(self, run_id: str, name: str, folder: Path) -> Path:
        """Fetch a file into `folder`."""
        return Path(
            mlflow.artifacts.download_artifacts(f"runs:/{run_id}/{name}", dst_path=str(folder))
        )


class DirectTransfer:
    """By one request to the store, for the key that the server would use."""

    def __init__(self, plan: Plan) -> None:
        assert plan.target
        secrets = target.load(plan.target.stack).secrets
        assert secrets
        self._http = requests.Session()
        self._s3, self._bucket, folder = bucket_of(
            plan.target.artifact_store, secrets.s3_credentials
        )
        self._root = f"{folder}{plan.experiment_id}"

    def upload(self, run_id: str, file: Path) -> None:
        """Store the file under its name."""
        with file.open("rb") as body:
            self._http.put(self._url("put_object", run_id, file.name), data=body).raise_for_status()

    def download(self, run_id: str, name: str, folder: Path) -> Path:
        """Fetch a file into `folder`."""
        url = self._url("get_object", run_id, name)
        with self._http.get(url, stream=True) as answer, (folder / name).open("wb") as file:
            answer.raise_for_status()
            for block in answer.iter_content(BLOCK):
                file.write(block)
        return folder / name

    def _url(self, method: str, run_id: str, name: str) -> str:
        """Sign locally: it takes no time of the store, and the call is timed as others are."""
        place = {"Bucket": self._bucket, "Key": f"{self._root}/{run_id}/artifacts/{name}"}
        return str(self._s3.generate_presigned_url(method, Params=place))


def transfer_for(plan: Plan, client: MlflowClient) -> Transfer:
    """Return the plan's way of transfer; a process has only this one."""
    via = Via(plan.parameters.get("via", Via.SERVER))
    if via is Via.DIRECT:
        return DirectTransfer(plan)
    if via is Via.PRESIGNED:
        os.environ.update(PRESIGNED)
    return ClientTransfer(client)


def check(plan: Plan) -> None:
    """Raise `CannotRunError` if the plan's way of transfer is not available."""
    via = Via(plan.parameters["via"])
    if via is Via.PRESIGNED and not _signs(plan):
        raise CannotRunError(
            f"--set via={via}: this server signs no URLs; on a stack with S3: "
            "pulumi config set mlflow-bench:presigned true, and pulumi up"
        )
    if via is Via.DIRECT:
        store = plan.target and plan.target.artifact_store
        if not store or not store.endpoint:
            raise CannotRunError(
                f"--set via={via}: {plan.subject} has no S3 service whose keys are known; "
                "use --stack with one that has artifacts: s3"
            )


def _signs(plan: Plan) -> bool:
    """Whether the server signs URLs: begins an upload in parts, and aborts it."""
    store: Any = MlflowArtifactsRepository(
        f"mlflow-artifacts:/{plan.experiment_id}/mlflow-bench-check"
    )
    try:
        multipart = store.create_multipart_upload("check")
    except (MlflowException, requests.HTTPError):
        return False
    store.abort_multipart_upload("check", multipart.upload_id)
    return True
