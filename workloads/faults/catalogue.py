"""The faults by name, in the order in which `all` does them; and changes by the launcher."""

from infra.outputs import Platform
from workloads.faults.container_faults import (
    ContainerFreeze,
    ContainerKill,
    ContainerRestart,
    ContainerStop,
    ContainerWorkerKill,
)
from workloads.faults.disk import DiskFull, disk_of_its_own
from workloads.faults.fault import Fault
from workloads.faults.handover import BACKUP, UPGRADE, made_by_launcher, why_not
from workloads.faults.network import (
    DROP_MS,
    DROPPED,
    JITTER_MS,
    LATENCY_MS,
    RATE_KB,
    late,
    reset,
    silent,
    slow,
    some_lost,
    toxic,
    uneven,
)
from workloads.faults.noop import Nothing
from workloads.faults.on_pod import PodFreeze, PodKill, PodStop, PodWorkerKill
from workloads.faults.zone import ZoneCut, several_zones

DOCKER, KUBERNETES = Platform.DOCKER, Platform.KUBERNETES
STORES = ("minio", "seaweedfs")

NOOP = "noop"

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault(
            name=NOOP,
            summary="nothing is done",
            meaning="a control: what a run shows is its own noise",
            component_kinds=(),
            make=dict.fromkeys(Platform, Nothing),
            outage_s=1,
        ),
        Fault(
            name="replica-kill",
            summary="a replica gets SIGKILL, and is restarted",
            meaning="a crash, or the kernel's end to a process that took too much memory",
            component_kinds=("mlflow",),
            make={DOCKER: ContainerKill, KUBERNETES: PodKill},
            outage_s=1,
        ),
        Fault(
            name="replica-freeze",
            summary="a replica stands still: its ports accept, nothing answers",
            meaning="a machine that swaps, a stalled disk or hypervisor, a deadlock",
            component_kinds=("mlflow",),
            make={DOCKER: ContainerFreeze, KUBERNETES: PodFreeze},
            outage_s=3,
        ),
        Fault(
            name="worker-kill",
            summary="a process that serves requests gets SIGKILL inside a replica",
            meaning="one worker out of memory while its container lives",
            component_kinds=("mlflow",),
            make={DOCKER: ContainerWorkerKill, KUBERNETES: PodWorkerKill},
            outage_s=1,
        ),
        Fault(
            name="replica-stop",
            summary="a replica is stopped in order, and started again afterwards",
            meaning="maintenance of its machine, a rolling update",
            component_kinds=("mlflow",),
            make={DOCKER: ContainerStop, KUBERNETES: PodStop},
            outage_s=1,
        ),
        Fault(
            name="zone-cut",
            summary="the replicas of the last zone are taken out of its network",
            meaning="a zone that the others no longer reach; its connections stay open and silent",
            component_kinds=(),
            make={DOCKER: ZoneCut},
            requires=several_zones,
            outage_s=3,
        ),
        Fault(
            name="balancer-kill",
            summary="nginx gets SIGKILL, and is restarted",
            meaning="a crash of the load balancer: all connections of clients are reset",
            component_kinds=("nginx",),
            make={DOCKER: ContainerKill, KUBERNETES: PodKill},
        ),
        Fault(
            name="postgres-restart",
            summary="PostgreSQL is restarted in order, on the same volume",
            meaning="new settings, a minor release; its data stay where they are",
            component_kinds=("postgres",),
            make={DOCKER: ContainerRestart, KUBERNETES: PodStop},
        ),
        Fault(
            name="postgres-kill",
            summary="PostgreSQL gets SIGKILL, is restarted on the same volume and recovers",
            meaning="a crash of its processes, and a restart; its disk is not lost",
            component_kinds=("postgres",),
            make={DOCKER: ContainerKill, KUBERNETES: PodKill},
        ),
        Fault(
            name="postgres-freeze",
            summary="PostgreSQL is paused: connections stay open, queries hang",
            meaning="a stalled disk, a snapshot that holds the machine, a fail-over under way",
            component_kinds=("postgres",),
            make={DOCKER: ContainerFreeze},
        ),
        Fault(
            name="postgres-disk-full",
            summary="the file system of PostgreSQL's volume is filled to the last page",
            meaning="growth that nobody watched",
            component_kinds=("postgres",),
            make={DOCKER: DiskFull},
            requires=disk_of_its_own,
        ),
        Fault(
            name="store-kill",
            summary="the S3 service gets SIGKILL and is restarted on the same volume",
            meaning="a crash of its process, and a restart: its disk is not lost",
            component_kinds=STORES,
            make={DOCKER: ContainerKill, KUBERNETES: PodKill},
        ),
        Fault(
            name="store-freeze",
            summary="the S3 service is paused: uploads and downloads hang",
            meaning="a stalled disk under the artifact store, or throttling of a bucket",
            component_kinds=STORES,
            make={DOCKER: ContainerFreeze},
        ),
        Fault(
            name="nfs-restart",
            summary="the NFS server is restarted in order, on the same volume",
            meaning="maintenance of the file server; its disk is not lost",
            component_kinds=("nfs",),
            make={DOCKER: ContainerRestart},
        ),
        Fault(
            name="nfs-freeze",
            summary="the NFS server is paused: file operations hang",
            meaning="a file server whose disks stall",
            component_kinds=("nfs",),
            make={DOCKER: ContainerFreeze},
        ),
        Fault(
            name="latency",
            summary=f"every answer to clients comes {LATENCY_MS} ms later",
            meaning="clients in another region",
            component_kinds=(),
            make={DOCKER: toxic("latency", {"latency": LATENCY_MS, "jitter": 0}, late)},
            needs_proxy=True,
        ),
        Fault(
            name="jitter",
            summary=f"answers come {LATENCY_MS} ± {JITTER_MS} ms later, each by another delay",
            meaning="mobile networks, busy VPNs",
            component_kinds=(),
            make={DOCKER: toxic("latency", {"latency": LATENCY_MS, "jitter": JITTER_MS}, uneven)},
            needs_proxy=True,
        ),
        Fault(
            name="bandwidth",
            summary=f"each connection to a client carries {RATE_KB} KB/s",
            meaning="a congested line",
            component_kinds=(),
            make={DOCKER: toxic("bandwidth", {"rate": RATE_KB}, slow)},
            needs_proxy=True,
        ),
        Fault(
            name="reset",
            summary="every connection of clients is reset, new ones too",
            meaning="a firewall or gateway that was restarted or dropped its table",
            component_kinds=(),
            make={DOCKER: toxic("reset_peer", {"timeout": 0}, reset)},
            needs_proxy=True,
        ),
        Fault(
            name="half-open",
            summary="requests arrive, and no answer comes back; connections stay open",
            meaning="a gateway that forgot the way back, asymmetric routes",
            component_kinds=(),
            make={DOCKER: toxic("timeout", {"timeout": 0}, silent)},
            needs_proxy=True,
        ),
        Fault(
            name="response-drop",
            summary=f"{DROPPED:.0%} of connections lose their answers after the server's work is "
            "done, and are closed",
            meaning="the case in which a client repeats a write that was already committed",
            component_kinds=(),
            make={DOCKER: toxic("timeout", {"timeout": DROP_MS}, some_lost, DROPPED)},
            needs_proxy=True,
        ),
    )
}

CHANGES: dict[str, Fault] = {
    change.name: change
    for change in (
        Fault(
            name=BACKUP,
            summary="scripts/backup copies the database and the artifacts",
            meaning="a backup while people work",
            component_kinds=(),
            make=dict.fromkeys(Platform, made_by_launcher(BACKUP)),
            requires=why_not,
        ),
        Fault(
            name=UPGRADE,
            summary="the stack is deployed with another release of MLflow",
            meaning="an upgrade while people work",
            component_kinds=(),
            make=dict.fromkeys(Platform, made_by_launcher(UPGRADE)),
            requires=why_not,
        ),
    )
}
"""Not to be drawn: `./scripts/bench STACK --scenario upgrade` makes them, and names them."""


def named(name: str) -> Fault:
    """Return a fault or a change; raises `KeyError` where there is none of this name."""
    return FAULTS[name] if name in FAULTS else CHANGES[name]
