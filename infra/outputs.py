"""The contract between a deployed stack and whatever tests it: output names and types."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

TARGET_OUTPUT = "target"
"""Name of the stack output that holds a `Target` as an object."""

TRACKING_URI_OUTPUT = "tracking_uri"
"""Name of the stack output that a person copies into `MLFLOW_TRACKING_URI`."""


class Platform(StrEnum):
    """What runs the components of a stack."""

    DOCKER = "docker"
    KUBERNETES = "kubernetes"


class Component(BaseModel):
    """One running container of the stack."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Component, as `postgres` or `mlflow-a-1`; unique in the stack.")
    kind: str = Field(description="Component kind, as `postgres`, `mlflow`, `nginx`.")
    container: str = Field(description="Name of its Docker container.")
    image: str = Field(description="Digest of the image it runs, `sha256:…`.")
    zone: str | None = Field(default=None, description="Zone it runs in; None: in every zone.")


class Target(BaseModel):
    """Everything that a workload may know about a deployed stack."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stack: str = Field(description="Stack name, as `local`.")
    platform: Platform
    tracking_uri: str = Field(description="Address of the tracking server, as a client uses it.")
    mlflow_version: str = Field(description="Version of mlflow that the replicas run.")
    artifacts: str = Field(description="Artifact store: `volume`, `s3` or `nfs`.")
    replicas: int = Field(ge=1, description="Number of MLflow replicas.")
    components: tuple[Component, ...] = Field(description="Every container of the stack.")
