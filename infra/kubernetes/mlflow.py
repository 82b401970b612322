"""The replicas of the tracking server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra.docker.mlflow import SPOOL_FOLDER
from infra.kubernetes.identity import Identity
from infra.kubernetes.pod import PodSpec, reachable, service, template
from infra.server import TrackingServer

USER = 10001

DRAIN_SECONDS = 5
"""How long a replica still serves after it was taken out of the Service: more than the seconds in
which every node, and the forward to this machine, learn of that."""


@dataclass(frozen=True, kw_only=True)
class MlflowArgs:
    """Settings of the replicas; memory in bytes."""

    identity: Identity
    image: pulumi.Input[str]
    replicas: int
    server: TrackingServer
    secrets: Mapping[str, pulumi.Input[str]]
    request_memory: int
    memory: int | None
    start_timeout: int


class Mlflow(pulumi.ComponentResource):
    """`mlflow server` on the stack's database and artifact store, in as many pods as replicas."""

    container: pulumi.Output[str]
    """Name of the workload, known once every replica answers from both stores."""

    def __init__(
        self, name: str, args: MlflowArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:kubernetes:Mlflow", name, None, opts)
        identity, port = args.identity, args.server.port
        pod = PodSpec(
            image=args.image,
            command=args.server.command(),
            user=USER,
            environment=args.server.environment() | {"TMPDIR": SPOOL_FOLDER},
            secrets=args.secrets,
            scratch=["/tmp", SPOOL_FOLDER],
            request_memory=args.memory or args.request_memory,
            memory=args.memory,
            port=port,
            health_path="/health",
            drain=DRAIN_SECONDS,
            client=True,
            start_timeout=args.start_timeout,
        )
        pods = {"matchLabels": identity.selector(name)}
        spec: Any = {
            "replicas": args.replicas,
            "selector": pods,
            # One more, and only when it is ready one less.
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "progressDeadlineSeconds": args.start_timeout + 60,
            "template": template(identity, name, pod, self),
        }
        workload = Deployment(
            name,
            metadata=identity.metadata(name, name),
            spec=spec,
            opts=identity.options(self),
        )
        # A node can be drained, also from the only replica.
        budget: Any = {"maxUnavailable": 1, "selector": pods}
        PodDisruptionBudget(
            name,
            metadata=identity.metadata(name, name),
            spec=budget,
            opts=identity.options(self),
        )
        front = service(identity, name, port, self, [workload])
        reachable(identity, name, port, True, self)
        self.container = front.metadata.name.apply(lambda known: f"deployment/{known}")
        self.register_outputs({"container": self.container})
