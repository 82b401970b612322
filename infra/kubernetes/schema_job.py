"""The job that creates, upgrades or refuses the database before any server starts on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.batch.v1 import Job

from infra.kubernetes.identity import Identity
from infra.kubernetes.mlflow import USER
from infra.kubernetes.pod import PodSpec, template
from infra.server import TrackingServer
from infra.spec import WORKER_MEMORY


@dataclass(frozen=True, kw_only=True)
class SchemaJobArgs:
    """What the job needs; `after` is known once the database and the store can be used."""

    identity: Identity
    image: pulumi.Input[str]
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
        super().__init__("mlflow-bench:kubernetes:SchemaJob", name, None, opts)
        identity = args.identity
        pod = PodSpec(
            image=pulumi.Output.all(args.image, *args.after).apply(lambda known: str(known[0])),
            command=args.server.schema_job_command(),
            user=USER,
            environment=args.server.environment(),
            secrets=args.secrets,
            request_memory=WORKER_MEMORY,
            ready=False,
            client=True,
            restart="Never",
        )
        # It refuses for good, and its stores answered before: nothing to try again.
        spec: Any = {"backoffLimit": 0, "template": template(identity, name, pod, self)}
        # A job that failed is made anew, though nothing about it has changed.
        again = {"annotations": {"pulumi.com/replaceUnready": "true"}}
        Job(
            name,
            metadata=identity.metadata(name, name) | again,
            spec=spec,
            opts=pulumi.ResourceOptions.merge(
                identity.options(self), pulumi.ResourceOptions(delete_before_replace=True)
            ),
        )
        self.image = pulumi.Output.from_input(args.image)
        self.register_outputs({"image": self.image})
