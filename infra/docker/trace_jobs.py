"""The one process that archives, deletes and sums up traces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from infra.components.server import SPOOL_FOLDER, TrackingServer
from infra.components.traces import READY_FILE
from infra.docker.artifact_mount import ArtifactMount, with_artifacts
from infra.docker.container import ContainerSpec, run_container
from infra.docker.identity import Identity
from infra.docker.volume import volume
from infra.docker.zone import Zone


@dataclass(frozen=True, kw_only=True)
class TraceJobsArgs:
    """What the jobs need; memory is in bytes.

    `after` is known once every replica is as this update has it.
    """

    identity: Identity
    image: pulumi.Input[str]
    zone: Zone
    server: TrackingServer
    secrets: Mapping[str, pulumi.Input[str]]
    mount: ArtifactMount | None
    after: Sequence[pulumi.Input[str]]
    memory: int | None
    start_timeout: int


class TraceJobs(pulumi.ComponentResource):
    """The trace jobs of a stack, beside its replicas."""

    container: pulumi.Output[str]
    """Name of the container, known once the jobs were done for the first time."""

    def __init__(
        self, name: str, args: TraceJobsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:docker:TraceJobs", args.identity.logical(name), None, opts)
        spec = ContainerSpec(
            # A rollup of a day must see what servers that know nothing of rollups still write.
            image=pulumi.Output.all(args.image, *args.after).apply(lambda known: str(known[0])),
            command=args.server.trace_jobs_command(),
            environment=args.server.trace_jobs_environment() | {"TMPDIR": SPOOL_FOLDER},
            networks=[args.zone.attach()],
            memory=args.memory,
            folders={SPOOL_FOLDER: volume(args.identity, f"{name}-spool", self).name},
            secrets=args.secrets,
            settings=args.server.trace_jobs_files(),
            ready_command=["test", "-e", READY_FILE],
            start_timeout=args.start_timeout,
        )
        container = run_container(args.identity, name, with_artifacts(spec, args.mount), self)
        self.container = container.name
        self.register_outputs({"container": self.container})
