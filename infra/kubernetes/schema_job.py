"""The job that creates, upgrades or refuses the database before any server starts on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.batch.v1 import Job, JobSpecArgs

from infra.components.server import TrackingServer
from infra.kubernetes.identity import Identity
from infra.kubernetes.mlflow import USER
from infra.kubernetes.pod import PodSettings, pod_template
from infra.specification.deployment import WORKER_MEMORY


@dataclass(frozen=True, kw_only=True)
class SchemaJobArgs:
    """What the job needs; `after` is known once the database and the store can be used.

    `annotations` are of its pod, see `SchemaRevision`.
    """

    identity: Identity
    image: pulumi.Input[str]
    annotations: Mapping[str, pulumi.Input[str]]
    server: TrackingServer
    secrets: Mapping[str, pulumi.Input[str]]
    after: Sequence[pulumi.Input[str]]


class SchemaJob(pulumi.ComponentResource):
    """One run of the schema job; it runs anew when the image or the server's stores change."""

    image: pulumi.Output[str]
    """The image; what depends on this component is made only when the job has succeeded."""

    def __init__(
        self, name: str, args: SchemaJobArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            "mlflow-bench:kubernetes:SchemaJob", args.identity.logical(name), None, opts
        )
        identity = args.identity
        pod = PodSettings(
            image=pulumi.Output.all(args.image, *args.after).apply(lambda values: str(values[0])),
            command=args.server.schema_job_command(),
            user=USER,
            environment=args.server.environment(),
            secrets=args.secrets,
            request_memory=WORKER_MEMORY,
            client=True,
            once=True,
            annotations=args.annotations,
        )
        Job(
            identity.logical(name),
            # A job that failed is replaced, though nothing about it has changed.
            metadata=identity.metadata(
                name, name, annotations={"pulumi.com/replaceUnready": "true"}
            ),
            # Its stores have answered already, so a failure is a refusal, and final.
            spec=JobSpecArgs(backoff_limit=0, template=pod_template(identity, name, pod, self)),
            opts=pulumi.ResourceOptions.merge(
                identity.options(self), pulumi.ResourceOptions(delete_before_replace=True)
            ),
        )
        self.image = pulumi.Output.from_input(args.image)
        self.register_outputs({"image": self.image})
