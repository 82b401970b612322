"""One way to run a pod: what the restricted Pod Security level asks, and a read-only root."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.components.secret_files import SECRETS_FOLDER
from infra.kubernetes.identity import LABEL_CLIENT, Identity

CLIENT_LABELS = {LABEL_CLIENT: "true"}
"""Labels of the pods that may reach the stores."""

PROBE_TIMEOUT_SECONDS = 8
"""Above the 5 s and 6 s after which the images' own checks give up."""


@dataclass(frozen=True, kw_only=True)
class PodSettings:
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
    """Writable paths, empty whenever a pod starts."""
    shared_memory: int | None = None
    """Size of /dev/shm."""
    request_memory: int
    memory: int | None = None
    """Limit; None: there is none."""
    port: int | None = None
    """Where it serves, once `ready_command` succeeds; None: nowhere."""
    once: bool = False
    """It runs once, as a job."""
    ready_command: Sequence[str] = ("ready",)
    health_path: str | None = None
    """Path that answers by HTTP while the process is alive, whatever it depends on does."""
    health_port: int | None = None
    """None: `port`."""
    health_tls: bool = False
    """Whether it answers by HTTPS; whose certificate it shows, the kubelet does not look at."""
    ready_while_alive: bool = False
    """Once it has been ready, it stays in its Service as long as it is alive."""
    drain: int = 0
    """Seconds that a pod still serves after it was taken out of its Service."""
    stop_timeout: int = 30
    start_timeout: int = 180
    client: bool = False
    """It may reach the stores."""
    annotations: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Another value of one makes a new pod."""


def pod_template(
    identity: Identity, component: str, pod: PodSettings, parent: pulumi.Resource
) -> core.PodTemplateSpecArgs:
    """Return the pod template of `component`; declares the Secret and ConfigMap of its files."""
    volumes: list[core.VolumeArgs] = []
    mounts: list[core.VolumeMountArgs] = []
    annotations = dict(pod.annotations)

    def mount(path: str, volume: core.VolumeArgs, *, read_only: bool | None = None) -> None:
        volumes.append(volume)
        mounts.append(core.VolumeMountArgs(name=volume.name, mount_path=path, read_only=read_only))

    if pod.secrets:
        secret = core.Secret(
            identity.logical(f"{component}-secrets"),
            metadata=identity.metadata(f"{component}-secrets", component),
            string_data=dict(pod.secrets),
            opts=identity.options(parent),
        )
        source = core.SecretVolumeSourceArgs(secret_name=secret.metadata.name, default_mode=0o440)
        mount(SECRETS_FOLDER, core.VolumeArgs(name="secrets", secret=source), read_only=True)
        # A running pod keeps the old password; another annotation makes a new pod.
        annotations["mlflow-bench.secrets"] = _keyed_digest(pod.secrets, identity.salt)
    for number, (path, claim_name) in enumerate(sorted(pod.claims.items())):
        claim = core.PersistentVolumeClaimVolumeSourceArgs(claim_name=claim_name)
        mount(path, core.VolumeArgs(name=f"data-{number}", persistent_volume_claim=claim))
    if pod.settings:
        files = {PurePosixPath(path).name: content for path, content in pod.settings.items()}
        [folder] = {str(PurePosixPath(path).parent) for path in pod.settings}
        config_map = core.ConfigMap(
            identity.logical(f"{component}-settings"),
            metadata=identity.metadata(f"{component}-settings", component),
            data=files,
            opts=identity.options(parent),
        )
        config = core.ConfigMapVolumeSourceArgs(name=config_map.metadata.name)
        mount(folder, core.VolumeArgs(name="settings", config_map=config), read_only=True)
        content = json.dumps(files).encode()
        annotations["mlflow-bench.settings"] = hashlib.sha256(content).hexdigest()[:16]
    for number, path in enumerate(pod.scratch):
        mount(
            path,
            core.VolumeArgs(name=f"scratch-{number}", empty_dir=core.EmptyDirVolumeSourceArgs()),
        )
    if pod.shared_memory is not None:
        size = _mebibytes(pod.shared_memory)
        memory = core.EmptyDirVolumeSourceArgs(medium="Memory", size_limit=size)
        mount("/dev/shm", core.VolumeArgs(name="memory", empty_dir=memory))
    return core.PodTemplateSpecArgs(
        metadata=ObjectMetaArgs(
            labels=identity.labels(component) | (CLIENT_LABELS if pod.client else {}),
            annotations=annotations,
        ),
        spec=core.PodSpecArgs(
            service_account_name=identity.service_account if pod.client else None,
            image_pull_secrets=[
                core.LocalObjectReferenceArgs(name=name) for name in identity.image_pull_secrets
            ]
            or None,
            # The token of the cluster's API; a cloud's webhook mounts its own token for a role.
            automount_service_account_token=False,
            # Otherwise a Service named `mlflow` sets MLFLOW_PORT and more of MLflow's own names.
            enable_service_links=False,
            restart_policy="Never" if pod.once else "Always",
            termination_grace_period_seconds=pod.stop_timeout + pod.drain,
            security_context=core.PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=pod.user,
                run_as_group=pod.user,
                fs_group=pod.user,
                fs_group_change_policy="OnRootMismatch",
                seccomp_profile=core.SeccompProfileArgs(type="RuntimeDefault"),
            ),
            topology_spread_constraints=[
                core.TopologySpreadConstraintArgs(
                    max_skew=1,
                    topology_key=key,
                    when_unsatisfiable="ScheduleAnyway",
                    label_selector=identity.selector(component),
                )
                for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
            ],
            containers=[_container(component, pod, mounts)],
            volumes=volumes,
        ),
    )


def _container(
    component: str, pod: PodSettings, mounts: Sequence[core.VolumeMountArgs]
) -> core.ContainerArgs:
    limits = None if pod.memory is None else {"memory": _mebibytes(pod.memory)}
    return core.ContainerArgs(
        name=component,
        image=pod.image,
        # Images have exact names, and a loaded one can be pulled from nowhere.
        image_pull_policy="IfNotPresent",
        # A pod's status then has its last lines, which whoever waits for it prints.
        termination_message_policy="FallbackToLogsOnError",
        args=list(pod.command),
        env=[
            core.EnvVarArgs(name=key, value=value) for key, value in sorted(pod.environment.items())
        ],
        resources=core.ResourceRequirementsArgs(
            requests={"cpu": "100m", "memory": _mebibytes(pod.request_memory)}, limits=limits
        ),
        volume_mounts=list(mounts),
        security_context=core.SecurityContextArgs(
            allow_privilege_escalation=False,
            capabilities=core.CapabilitiesArgs(drop=["ALL"]),
            read_only_root_filesystem=True,
        ),
        ports=None
        if pod.port is None
        else [core.ContainerPortArgs(name="main", container_port=pod.port)],
        startup_probe=_startup_probe(pod),
        readiness_probe=_readiness_probe(pod),
        liveness_probe=_liveness_probe(pod),
        lifecycle=core.LifecycleArgs(
            pre_stop=core.LifecycleHandlerArgs(
                exec_=core.ExecActionArgs(command=["sleep", str(pod.drain)])
            )
        )
        if pod.drain
        else None,
    )


def _startup_probe(pod: PodSettings) -> core.ProbeArgs | None:
    if pod.once:
        return None
    return core.ProbeArgs(
        exec_=core.ExecActionArgs(command=list(pod.ready_command)),
        timeout_seconds=PROBE_TIMEOUT_SECONDS,
        period_seconds=2,
        failure_threshold=max(pod.start_timeout // 2, 1),
    )


def _readiness_probe(pod: PodSettings) -> core.ProbeArgs | None:
    if pod.once:
        return None
    ready = core.ExecActionArgs(command=list(pod.ready_command))
    return core.ProbeArgs(
        exec_=None if pod.ready_while_alive else ready,
        http_get=_health_request(pod) if pod.ready_while_alive else None,
        timeout_seconds=PROBE_TIMEOUT_SECONDS,
        period_seconds=5,
        failure_threshold=2,
    )


def _liveness_probe(pod: PodSettings) -> core.ProbeArgs | None:
    if pod.health_path is None:
        return None
    # A busy server is slow, not dead.
    return core.ProbeArgs(
        http_get=_health_request(pod), timeout_seconds=10, period_seconds=10, failure_threshold=6
    )


def _health_request(pod: PodSettings) -> core.HTTPGetActionArgs:
    port = pod.health_port or pod.port
    assert port is not None
    # The server accepts the host names of its stack, and no pod's address.
    host = core.HTTPHeaderArgs(name="Host", value="localhost")
    return core.HTTPGetActionArgs(
        path=pod.health_path,
        port=port,
        http_headers=[host],
        scheme="HTTPS" if pod.health_tls else None,
    )


def _mebibytes(size: int) -> str:
    return f"{size // 2**20}Mi"


def _keyed_digest(
    secrets: Mapping[str, pulumi.Input[str]], key: pulumi.Input[str]
) -> pulumi.Output[str]:
    """Return a digest that changes with the secrets and reveals nothing of them.

    It is an HMAC: whoever sees a pod could try passwords against a plain hash.
    """
    names = sorted(secrets)

    def digest(values: list[str]) -> str:
        content = json.dumps(values[1:]).encode()
        return hmac.new(values[0].encode(), content, hashlib.sha256).hexdigest()[:16]

    result = pulumi.Output.all(key, *(secrets[name] for name in names)).apply(digest)
    return pulumi.Output.unsecret(result)
