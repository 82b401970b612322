"""The cluster that a stack of platform `kubernetes` goes to, as its stack file names it."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

TEST_CONTEXT = "mlflow-bench-test"
"""Context of the test cluster (`scripts/offline/cluster`), which runs images built here."""


def _label(value: str) -> str:
    parts = value.split("-")
    if len(value) > 63 or not all(part.isalnum() and part.isascii() for part in parts if part):
        raise ValueError("is not lower-case letters, digits and -, 63 at most")
    if value != value.lower() or value.startswith("-") or value.endswith("-"):
        raise ValueError("is not lower-case letters, digits and -, with neither end a -")
    return value


def _host(value: str) -> str:
    for part in value.split("."):
        if not part:
            raise ValueError("is not a name like mlflow.example.com")
        _label(part)
    return value


def comma_separated(value: object) -> object:
    """Accept `a,b` beside a list, so that `pulumi config set` is enough."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


HostName = Annotated[str, Field(max_length=253), AfterValidator(_host)]
Name = Annotated[str, Field(min_length=1), AfterValidator(_label)]


class Monitoring(BaseModel):
    """A ServiceMonitor, by which the Prometheus operator finds the replicas' figures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: Name = Field(
        description="Namespace of Prometheus, whose pods may then reach the replicas.",
        examples=["monitoring"],
    )
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="Labels of the ServiceMonitor, where Prometheus takes only those that have "
        "them.",
        examples=["{release: prometheus}"],
    )


class ClusterSpec(BaseModel):
    """Where in which cluster a stack is deployed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context: str = Field(
        min_length=1,
        description="Context of the kubeconfig; the current one is never taken by itself.",
        examples=[TEST_CONTEXT],
    )
    namespace: Name | None = Field(
        default=None,
        description="Namespace, which the stack makes and removes with all that is in it; without "
        "one, `mlflow-bench-` and the stack's name.",
        examples=["mlflow-bench"],
    )
    storage: str = Field(
        default="10Gi",
        pattern=r"^\d+(Mi|Gi|Ti)$",
        description="Size of the volume of the database, and of that of the object store.",
        examples=["10Gi"],
    )
    storage_class: Name | None = Field(
        default=None,
        description="Storage class of the volumes; without it, the cluster's default.",
        examples=["standard"],
    )

    max_replicas: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="Most replicas that PostgreSQL's connections are enough for: `replicas` can "
        "change up to it without a restart of PostgreSQL. Without it 3, or as many as `replicas`.",
        examples=["3"],
    )

    autoscale: bool = Field(
        default=False,
        description="Let the cluster choose the number of replicas by their processor time, from "
        "`replicas` to `max_replicas`; it needs a metrics server.",
        examples=["true"],
    )
    ingress_host: HostName | None = Field(
        default=None,
        description="Name of an Ingress that leads clients to the stack; without it there is none.",
        examples=["mlflow.example.com"],
    )
    ingress_tls_secret: Name | None = Field(
        default=None,
        description="Secret of the namespace with the certificate of `ingress_host`.",
        examples=["mlflow-tls"],
    )
    ingress_class: Name | None = Field(
        default=None,
        description="Class of the Ingress; without it, the cluster's default.",
        examples=["nginx"],
    )
    load_inside: bool = Field(
        default=False,
        description="Let the load of a workload come from a pod of the cluster, and not from the "
        "machine that it is started on.",
        examples=["true"],
    )
    image_pull_secrets: Annotated[tuple[Name, ...], BeforeValidator(comma_separated)] = Field(
        default=(),
        description="Secrets of the namespace, of type `kubernetes.io/dockerconfigjson`, that all "
        "pods pull their images with.",
        examples=["registry"],
        json_schema_extra={"type": ["array", "string"]},
    )
    service_account: Name | None = Field(
        default=None,
        description="Service account, made by the stack, of the pods that use the artifact store: "
        "for a bucket without keys. Without it, the namespace's default one.",
        examples=["mlflow"],
    )
    service_account_annotations: dict[str, str] = Field(
        default_factory=dict,
        description="Annotations of `service_account`, by which a cloud knows its role.",
        examples=["{eks.amazonaws.com/role-arn: …}"],
    )

    monitoring: Monitoring | None = Field(
        default=None,
        description="Make a ServiceMonitor for the replicas; the cluster needs the Prometheus "
        "operator.",
    )

    def namespace_of(self, stack: str) -> str:
        """Return the namespace of `stack`: the given one, or one by its name."""
        own = re.sub(r"[^a-z0-9]+", "-", f"mlflow-bench-{stack}".lower())
        return self.namespace or own[:63].strip("-")
