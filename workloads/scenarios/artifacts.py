"""Files of several sizes: through the tracking server, past it, or to the store alone."""

from enum import StrEnum

from pydantic import Field, field_validator

from workloads.plan.plan import Objectives, Profile
from workloads.scenarios.scenario import Parameters, Scenario


class Via(StrEnum):
    """The way that files take."""

    SERVER = "server"
    """MLflow's client to the tracking server, which passes them on."""
    PRESIGNED = "presigned"
    """MLflow's client to the S3 service itself, by URLs that the server signs."""
    DIRECT = "direct"
    """An S3 client to the S3 service, with the store's own keys: the server has no part in it."""


class ArtifactsParameters(Parameters):
    """Which files."""

    sizes_kib: tuple[int, ...] = Field(
        default=(16, 256, 4096), description="sizes in KiB, with commas between"
    )

    via: Via = Field(
        default=Via.SERVER,
        description="server; presigned: past it by signed URLs (uploads from 11 MB on); "
        "direct: the stack's S3 alone",
    )

    @field_validator("sizes_kib", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("sizes_kib")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1:
            raise ValueError("each size is at least 1 KiB")
        return value


KIB = 1024


def size_name(size: int) -> str:
    """Name of a number of bytes, as `16 KiB` or `4 MiB`."""
    return f"{size // KIB**2} MiB" if size % KIB**2 == 0 else f"{size // KIB} KiB"


def file_steps(parameters: Parameters) -> tuple[str, ...]:
    """Names of the steps of people who store files of these sizes."""
    assert isinstance(parameters, ArtifactsParameters)
    sizes = [size_name(size * KIB) for size in parameters.sizes_kib]
    return tuple(f"{direction} {size}" for size in sizes for direction in ("upload", "download"))


ARTIFACTS = Scenario(
    name="artifacts",
    summary="files up and down through the server or past it, compared by SHA-256; closed load",
    users="workloads.users.artifact_files:ArtifactUser",
    set_up="workloads.users.artifact_files:check_transfer",
    profiles={
        "quick": Profile(users=2, warm_up_s=4, load_s=15, finish_s=60),
        "full": Profile(users=4, warm_up_s=15, load_s=180, finish_s=300),
    },
    objectives={
        "quick": Objectives(error_rate=0, p95_ms=2000, min_rate=1),
        "full": Objectives(error_rate=0, p95_ms=20000, min_rate=1),
    },
    parameters={
        "quick": ArtifactsParameters(),
        "full": ArtifactsParameters(sizes_kib=(16, 256, 4096, 32768, 262144)),
    },
    # Reading, hashing and comparing a file is computing: it must delay nobody else's calls.
    computes=True,
    can_be_open=False,
    steps=file_steps,
)
