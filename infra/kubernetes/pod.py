"""One way to run a pod: what the restricted Pod Security level asks, and a read-only root."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment, StatefulSet
from pulumi_kubernetes.core.v1 import ConfigMap, PersistentVolumeClaim, Secret, Service
from pulumi_kubernetes.networking.v1 import NetworkPolicy
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from infra.docker.files import SECRETS_FOLDER
from infra.kubernetes.identity import LABEL_CLIENT, Identity

CLIENTS = {LABEL_CLIENT: "true"}
"""Labels of the pods that may reach the stores."""

PROBE_SECONDS = 8
"""Above the 5 s and 6 s after which the images' checks themselves give up."""


@dataclass(frozen=True, kw_only=True)
class PodSpec:
    """What differs between pods; memory in bytes, times in seconds."""

    image: pulumi.Input[str]
    command: Sequence[str]
    user: int
    """The image's own user, and the group that may read secrets and write volumes."""
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    claims: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Path in the container to the claim that is mounted there."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Path of a file in the container to its content; all in one folder."""
    scratch: Sequence[str] = ("/tmp",)
    """Paths that may be written to, and are forgotten."""
    shared_memory: int | None = None
    """Size of /dev/shm."""
    request_memory: int
    memory: int | None = None
    """Limit; None: there is none."""
    port: int | None = None
    ready: bool = True
    """The image has a command `ready`; a job has none."""
    health_path: str | None = None
    """What tells, by HTTP, that the process lives, whatever it depends on does."""
    health_port: int | None = None
    """None: `port`."""
    ready_while_alive: bool = False
    """Once it has been ready, it stays in its Service as long as it lives."""
    drain: int = 0
    """Seconds that a pod still serves after it was taken out of its Service."""
    stop_timeout: int = 30
    start_timeout: int = 180
    client: bool = False
    """It may reach the stores."""
    restart: str = "Always"


def template(
    identity: Identity, component: str, spec: PodSpec, parent: pulumi.Resource
) -> dict[str, Any]:
    """Return the pod template of `component`; declares the Secret of its files."""
    mounts: list[dict[str, Any]] = []
    volumes: list[dict[str, Any]] = []
    annotations: dict[str, pulumi.Input[str]] = {}
    if spec.secrets:
        secret = Secret(
            f"{component}-secrets",
            metadata=identity.metadata(f"{component}-secrets", component),
            string_data=dict(spec.secrets),
            opts=identity.options(parent),
        )
        name = secret.metadata.name
        volumes.append({"name": "secrets", "secret": {"secretName": name, "defaultMode": 0o440}})
        mounts.append({"name": "secrets", "mountPath": SECRETS_FOLDER, "readOnly": True})
        # A pod does not see a new password until it is started anew.
        annotations["mlflow-bench.secrets"] = _keyed_digest(spec.secrets, identity.salt)
    for number, (path, claim) in enumerate(sorted(spec.claims.items())):
        volumes.append({"name": f"data-{number}", "persistentVolumeClaim": {"claimName": claim}})
        mounts.append({"name": f"data-{number}", "mountPath": path})
    if spec.settings:
        texts = {PurePosixPath(path).name: text for path, text in spec.settings.items()}
        [folder] = {str(PurePosixPath(path).parent) for path in spec.settings}
        config = ConfigMap(
            f"{component}-settings",
            metadata=identity.metadata(f"{component}-settings", component),
            data=texts,
            opts=identity.options(parent),
        )
        volumes.append({"name": "settings", "configMap": {"name": config.metadata.name}})
        mounts.append({"name": "settings", "mountPath": folder, "readOnly": True})
        annotations["mlflow-bench.settings"] = _hash(texts)
    for number, path in enumerate(spec.scratch):
        volumes.append({"name": f"scratch-{number}", "emptyDir": {}})
        mounts.append({"name": f"scratch-{number}", "mountPath": path})
    if spec.shared_memory is not None:
        size = f"{spec.shared_memory // 2**20}Mi"
        volumes.append({"name": "memory", "emptyDir": {"medium": "Memory", "sizeLimit": size}})
        mounts.append({"name": "memory", "mountPath": "/dev/shm"})
    labels = identity.labels(component) | (CLIENTS if spec.client else {})
    account: dict[str, Any] = {}
    if spec.client and identity.service_account is not None:
        account["serviceAccountName"] = identity.service_account
    if identity.image_pull_secrets:
        account["imagePullSecrets"] = [{"name": name} for name in identity.image_pull_secrets]
    return {
        "metadata": {"labels": labels, "annotations": annotations},
        "spec": {
            **account,
            # Of the cluster's API; a cloud's webhook mounts its own token for a role.
            "automountServiceAccountToken": False,
            # Else a Service named `mlflow` sets MLFLOW_PORT and more of MLflow's own names.
            "enableServiceLinks": False,
            "restartPolicy": spec.restart,
            "terminationGracePeriodSeconds": spec.stop_timeout + spec.drain,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": spec.user,
                "runAsGroup": spec.user,
                "fsGroup": spec.user,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": key,
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": identity.selector(component)},
                }
                for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
            ],
            "containers": [_container(component, spec, mounts)],
            "volumes": volumes,
        },
    }


def _container(component: str, spec: PodSpec, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    memory = f"{spec.request_memory // 2**20}Mi"
    resources: dict[str, Any] = {"requests": {"cpu": "100m", "memory": memory}}
    if spec.memory is not None:
        resources["limits"] = {"memory": f"{spec.memory // 2**20}Mi"}
    container: dict[str, Any] = {
        "name": component,
        "image": spec.image,
        # Images have exact names; those that were loaded can be pulled from nowhere.
        "imagePullPolicy": "IfNotPresent",
        # So that its last words are with its status: who waits for it tells them.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "args": list(spec.command),
        "env": [{"name": key, "value": value} for key, value in sorted(spec.environment.items())],
        "resources": resources,
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    if spec.port is not None:
        container["ports"] = [{"name": "main", "containerPort": spec.port}]
    get: dict[str, Any] = {
        "httpGet": {
            "path": spec.health_path,
            "port": spec.health_port or spec.port,
            # The server knows the names of its stack, and no pod's address.
            "httpHeaders": [{"name": "Host", "value": "localhost"}],
        }
    }
    if spec.ready:
        check = {"exec": {"command": ["ready"]}, "timeoutSeconds": PROBE_SECONDS}
        container["startupProbe"] = check | {
            "periodSeconds": 2,
            "failureThreshold": max(spec.start_timeout // 2, 1),
        }
        container["readinessProbe"] = (
            get | {"timeoutSeconds": PROBE_SECONDS} if spec.ready_while_alive else check
        ) | {"periodSeconds": 5, "failureThreshold": 2}
    if spec.health_path is not None:
        # A busy server is slow, not dead.
        container["livenessProbe"] = get | {
            "periodSeconds": 10,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        }
    if spec.drain:
        wait = ["sleep", str(spec.drain)]
        container["lifecycle"] = {"preStop": {"exec": {"command": wait}}}
    return container


def claim(
    identity: Identity,
    component: str,
    size: str,
    storage_class: str | None,
    parent: pulumi.Resource,
) -> PersistentVolumeClaim:
    """Declare the claim of a component's data."""
    name = f"{component}-data"
    spec: Any = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
    }
    if storage_class is not None:
        spec["storageClassName"] = storage_class
    return PersistentVolumeClaim(
        name,
        metadata=identity.metadata(name, component),
        spec=spec,
        opts=identity.options(parent),
    )


def single(
    identity: Identity, component: str, pod: PodSpec, parent: pulumi.Resource
) -> StatefulSet:
    """Declare a workload of one pod, which keeps its name and never runs twice at once."""
    spec: Any = {
        "serviceName": component,
        "replicas": 1,
        "selector": {"matchLabels": identity.selector(component)},
        "template": template(identity, component, pod, parent),
    }
    return StatefulSet(
        component,
        metadata=identity.metadata(component, component),
        spec=spec,
        opts=pulumi.ResourceOptions.merge(identity.options(parent), _in_time(pod, 1)),
    )


def rolling(
    identity: Identity,
    component: str,
    pod: PodSpec,
    replicas: int | None,
    parent: pulumi.Resource,
    *,
    most: int,
    after: Sequence[pulumi.Resource] = (),
) -> Deployment:
    """Declare a component of equal pods, of which an update never takes one away too early.

    None: the cluster chooses how many, up to `most`; a number here would undo its choice at each
    update. What is in `after` comes first by order alone: had the specification a value of
    something that is replaced, the engine would remove all pods before that.
    """
    spec: Any = {
        **({} if replicas is None else {"replicas": replicas}),
        "selector": {"matchLabels": identity.selector(component)},
        # One more, and only when it is ready one less.
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        },
        "progressDeadlineSeconds": patience(pod),
        "template": template(identity, component, pod, parent),
    }
    workload = Deployment(
        component,
        metadata=identity.metadata(component, component),
        spec=spec,
        opts=pulumi.ResourceOptions.merge(
            identity.options(parent, list(after)), _in_time(pod, most)
        ),
    )
    disruption_budget(identity, component, parent)
    return workload


def patience(pod: PodSpec) -> int:
    """Return the seconds in which a pod is there and ready, or never will be."""
    return pod.start_timeout + 60


def _in_time(pod: PodSpec, pods: int) -> pulumi.ResourceOptions:
    """Return how long to wait: all pods start at once, and an update takes one after the other.

    Pulumi's own are ten minutes, also for a pod that cannot start, and for one that needs longer.
    """
    first, all_ = (f"{patience(pod) * number}s" for number in (1, pods))
    return pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(create=first, update=all_))


def disruption_budget(identity: Identity, component: str, parent: pulumi.Resource) -> None:
    """Declare that a node is drained of one pod of a component after the other."""
    # Also of an only one, or its node could not be drained.
    spec: Any = {"maxUnavailable": 1, "selector": {"matchLabels": identity.selector(component)}}
    PodDisruptionBudget(
        component,
        metadata=identity.metadata(component, component),
        spec=spec,
        opts=identity.options(parent),
    )


def service(
    identity: Identity,
    component: str,
    port: int,
    parent: pulumi.Resource,
    after: list[pulumi.Resource],
    *,
    name: str | None = None,
    target: int | None = None,
    headless: bool = False,
) -> Service:
    """Declare the Service by which the others reach a component, once it has a ready pod.

    It is named `name`, else as the component; `target` is the pods' port where it is another.
    Without an address of its own (`headless`), its name stands for those of the ready pods.
    """
    name = name or component
    spec: Any = {
        "selector": identity.selector(component),
        "ports": [{"name": "main", "port": port, "targetPort": target or port}],
    }
    if headless:
        spec["clusterIP"] = "None"
    return Service(
        name,
        metadata=identity.metadata(name, component),
        spec=spec,
        opts=identity.options(parent, after),
    )


def reachable(
    identity: Identity,
    component: str,
    port: int,
    by: Mapping[str, str] | None,
    parent: pulumi.Resource,
    *,
    namespace: str | None = None,
) -> None:
    """Declare who may reach a component's pods: those with the labels `by`; None: everyone.

    And all pods of another `namespace`, where one is given.
    """
    rule: dict[str, Any] = {"ports": [{"port": port, "protocol": "TCP"}]}
    if by is not None:
        rule["from"] = [{"podSelector": {"matchLabels": dict(by)}}]
        if namespace is not None:
            label = {"kubernetes.io/metadata.name": namespace}
            rule["from"].append({"namespaceSelector": {"matchLabels": label}})
    spec: Any = {
        "podSelector": {"matchLabels": identity.selector(component)},
        "policyTypes": ["Ingress"],
        "ingress": [rule],
    }
    NetworkPolicy(
        component,
        metadata=identity.metadata(component, component),
        spec=spec,
        opts=identity.options(parent),
    )


def _keyed_digest(
    secrets: Mapping[str, pulumi.Input[str]], key: pulumi.Input[str]
) -> pulumi.Output[str]:
    """Return what changes with the secrets and tells nothing of them.

    By a key, as whoever sees a pod could else try passwords against it.
    """
    names = sorted(secrets)

    def digest(known: list[str]) -> str:
        content = json.dumps(known[1:]).encode()
        return hmac.new(known[0].encode(), content, hashlib.sha256).hexdigest()[:16]

    found = pulumi.Output.all(key, *(secrets[name] for name in names)).apply(digest)
    return pulumi.Output.unsecret(found)


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]
