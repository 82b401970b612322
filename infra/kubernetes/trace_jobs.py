"""The one pod that archives, deletes and sums up traces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from infra.components.server import SPOOL_FOLDER, TrackingServer
from infra.components.traces import MEMORY, READY_FILE
from infra.kubernetes.identity import Identity
from infra.kubernetes.mlflow import USER
from infra.kubernetes.pod import PodSettings
from infra.kubernetes.workload import rolling_deployment


@dataclass(frozen=True, kw_only=True)
class TraceJobsArgs:
    """What the jobs need, memory in bytes; they are made after `replicas`.

    `annotations` are of the pod, see `SchemaRevision`.
    """

    identity: Identity
    image: pulumi.Input[str]
    annotations: Mapping[str, pulumi.Input[str]]
    replicas: Sequence[pulumi.Resource]
    server: TrackingServer
    secrets: Mapping[str, pulumi.Input[str]]
    memory: int | None
    start_timeout: int


class TraceJobs(pulumi.ComponentResource):
    """The trace jobs of a stack, beside its replicas."""

    def __init__(
        self, name: str, args: TraceJobsArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            "mlflow-bench:kubernetes:TraceJobs", args.identity.logical(name), None, opts
        )
        pod = PodSettings(
            image=args.image,
            command=args.server.trace_jobs_command(),
            user=USER,
            environment=args.server.trace_jobs_environment() | {"TMPDIR": SPOOL_FOLDER},
            secrets=args.secrets,
            settings=args.server.trace_jobs_files(),
            scratch=["/tmp", SPOOL_FOLDER],
            request_memory=args.memory or MEMORY,
            memory=args.memory,
            ready_command=["test", "-e", READY_FILE],
            client=True,
            annotations=args.annotations,
            start_timeout=args.start_timeout,
        )
        # During an update there may be two: the lock in the database lets one work.
        rolling_deployment(
            args.identity, name, pod, 1, self, max_replicas=1, depends_on=args.replicas
        )
        self.register_outputs({})
