"""The job that creates, upgrades or refuses the database before any server starts on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from infra.components.server import TrackingServer
from infra.docker.artifact_mount import ArtifactMount, with_artifacts
from infra.docker.container import ContainerSpec, run_container
from infra.docker.identity import Identity
from infra.docker.preflight import LABEL_RETRY
from infra.docker.zone import Zone


@dataclass(frozen=True, kw_only=True)
class SchemaJobArgs:
    """What the job needs; `after` is known once the database and the store can be used.

    `retry_of` names a failed attempt that this one repeats, see `preflight.failed_attempt`.
    """

    identity: Identity
    image: pulumi.Input[str]
    zone: Zone
    server: TrackingServer
    secrets: Mapping[str, pulumi.Input[str]]
    mount: ArtifactMount | None
    after: Sequence[pulumi.Input[str]]
    retry_of: str


class SchemaJob(pulumi.ComponentResource):
    """One run of the schema job; it runs anew when the image or the server's stores change."""

    image: pulumi.Output[str]
    """The image, passed on only when the job succeeded: a server that takes it waits for it."""

    def __init__(
        self, name: str, args: SchemaJobArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:docker:SchemaJob", args.identity.logical(name), None, opts)
        spec = ContainerSpec(
            image=pulumi.Output.all(args.image, *args.after).apply(lambda known: str(known[0])),
            command=args.server.schema_job_command(),
            environment=args.server.artifacts.environment(),
            networks=[args.zone.attach()],
            secrets=args.secrets,
            labels={LABEL_RETRY: args.retry_of} if args.retry_of else {},
        )
        job = run_container(args.identity, name, with_artifacts(spec, args.mount), self)
        self.image = pulumi.Output.all(args.image, job.exit_code, job.container_logs).apply(
            lambda known: _checked(str(known[0]), known[1], known[2])
        )
        self.register_outputs({"image": self.image})


def _checked(image: str, exit_code: int | None, logs: str | None) -> str:
    """Return `image`, or raise `RunError` with the job's own last line."""
    if exit_code == 0:
        return image
    lines = (logs or "").strip().splitlines() or ["it printed nothing"]
    raise pulumi.RunError(
        f"schema job: exit status {exit_code}: {lines[-1]} (no server was started; "
        "the database is unchanged)"
    )
