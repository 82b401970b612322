"""S3 as an artifact store that only the tracking server reaches.

MLflow 3.17 tells clients to fetch artifacts from S3 by presigned URL whenever its repository
class can make one. A client that cannot reach the store's address, as outside a private network,
then tries each file for minutes and fails. This class has the same store without that ability,
so that clients stay with the server's own address. It takes the place of MLflow's own for `s3`.
"""

from pathlib import Path

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository


class ProxiedS3Repository(ArtifactRepository):
    """MLflow's S3 repository, without presigned and multipart access for clients."""

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._s3 = S3ArtifactRepository(
            artifact_uri, tracking_uri=tracking_uri, registry_uri=registry_uri
        )

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store one file."""
        self._s3.log_artifact(local_file, artifact_path)  # type: ignore[no-untyped-call]

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Store all files of a folder."""
        self._s3.log_artifacts(local_dir, artifact_path)  # type: ignore[no-untyped-call]

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly in a folder."""
        return list(self._s3.list_artifacts(path))  # type: ignore[no-untyped-call]

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Remove a file, or all below a folder."""
        self._s3.delete_artifacts(artifact_path)  # type: ignore[no-untyped-call]

    def _download_file(self, remote_file_path: str, local_path: str | Path) -> None:
        self._s3._download_file(remote_file_path, local_path)  # type: ignore[no-untyped-call]
