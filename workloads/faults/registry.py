"""The faults by name, in the order in which `all` does them."""

from infra.outputs import Platform
from workloads.faults.disk import DiskFull, disk_of_its_own
from workloads.faults.fault import Fault
from workloads.faults.freeze import ContainerFreeze
from workloads.faults.kill import ContainerKill
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
from workloads.faults.pods import PodFreeze, PodKill, PodStop, PodWorkerKill
from workloads.faults.restart import ContainerRestart
from workloads.faults.stop import ContainerStop
from workloads.faults.worker import ContainerWorkerKill
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
            strikes=(),
            make=dict.fromkeys(Platform, Nothing),
            gap_s=1,
        ),
        Fault(
            name="replica-kill",
            summary="a replica gets SIGKILL, and is started again",
            meaning="a crash, or the kernel's end to a process that took too much memory",
            strikes=("mlflow",),
            make={DOCKER: ContainerKill, KUBERNETES: PodKill},
            gap_s=1,
        ),
        Fault(
            name="replica-freeze",
            summary="a replica stands still: its ports accept, nothing answers",
            meaning="a machine that swaps, a stalled disk or hypervisor, a deadlock",
            strikes=("mlflow",),
            make={DOCKER: ContainerFreeze, KUBERNETES: PodFreeze},
            gap_s=3,
        ),
        Fault(
            name="worker-kill",
            summary="a process that serves requests gets SIGKILL inside a replica",
            meaning="one worker out of memory while its container lives",
            strikes=("mlflow",),
            make={DOCKER: ContainerWorkerKill, KUBERNETES: PodWorkerKill},
            gap_s=1,
        ),
        Fault(
            name="replica-stop",
            summary="a replica is stopped in order, and started again afterwards",
            meaning="maintenance of its machine, a rolling update",
            strikes=("mlflow",),
            make={DOCKER: ContainerStop, KUBERNETES: PodStop},
            gap_s=1,
        ),
        Fault(
            name="zone-cut",
            summary="the replicas of the last zone are taken out of its network",
            meaning="a zone that the others no longer reach; its connections stay open and silent",
            strikes=(),
            make={DOCKER: ZoneCut},
            requires=several_zones,
            gap_s=3,
        ),
        Fault(
            name="balancer-kill",
            summary="nginx gets SIGKILL, and is started again",
            meaning="a crash of the load balancer: all connections of clients are reset",
            strikes=("nginx",),
            make={DOCKER: ContainerKill, KUBERNETES: PodKill},
        ),
        Fault(
            name="postgres-restart",
            summary="PostgreSQL is restarted in order",
            meaning="new settings, a minor release, a managed database's maintenance window",
            strikes=("postgres",),
            make={DOCKER: ContainerRestart, KUBERNETES: PodStop},
        ),
        Fault(
            name="postgres-kill",
            summary="PostgreSQL gets SIGKILL, is started again and recovers from its log",
            meaning="a crash of the database, or of its machine without loss of the disk",
            strikes=("postgres",),
            make={DOCKER: ContainerKill, KUBERNETES: PodKill},
        ),
        Fault(
            name="postgres-freeze",
            summary="PostgreSQL is paused: connections stay open, queries hang",
            meaning="a stalled disk, a snapshot that holds the machine, a fail-over under way",
            strikes=("postgres",),
            make={DOCKER: ContainerFreeze},
        ),
        Fault(
            name="postgres-disk-full",
            summary="the file system of PostgreSQL's volume is filled to the last page",
            meaning="growth that nobody watched",
            strikes=("postgres",),
            make={DOCKER: DiskFull},
            requires=disk_of_its_own,
        ),
        Fault(
            name="store-kill",
            summary="the S3 service gets SIGKILL, and is started again",
            meaning="a crash of the artifact store",
            strikes=STORES,
            make={DOCKER: ContainerKill, KUBERNETES: PodKill},
        ),
        Fault(
            name="store-freeze",
            summary="the S3 service is paused: uploads and downloads hang",
            meaning="a stalled disk under the artifact store, or throttling of a bucket",
            strikes=STORES,
            make={DOCKER: ContainerFreeze},
        ),
        Fault(
            name="nfs-restart",
            summary="the NFS server is restarted in order",
            meaning="maintenance of the file server",
            strikes=("nfs",),
            make={DOCKER: ContainerRestart},
        ),
        Fault(
            name="nfs-freeze",
            summary="the NFS server is paused: file operations hang",
            meaning="a file server whose disks stall",
            strikes=("nfs",),
            make={DOCKER: ContainerFreeze},
        ),
        Fault(
            name="latency",
            summary=f"every answer to clients comes {LATENCY_MS} ms later",
            meaning="clients in another region",
            strikes=(),
            make={DOCKER: toxic("latency", {"latency": LATENCY_MS, "jitter": 0}, late)},
            on_the_way=True,
        ),
        Fault(
            name="jitter",
            summary=f"answers come {LATENCY_MS} ± {JITTER_MS} ms later, each by another delay",
            meaning="mobile networks, busy VPNs",
            strikes=(),
            make={DOCKER: toxic("latency", {"latency": LATENCY_MS, "jitter": JITTER_MS}, uneven)},
            on_the_way=True,
        ),
        Fault(
            name="bandwidth",
            summary=f"each connection to a client carries {RATE_KB} KB/s",
            meaning="a congested line",
            strikes=(),
            make={DOCKER: toxic("bandwidth", {"rate": RATE_KB}, slow)},
            on_the_way=True,
        ),
        Fault(
            name="reset",
            summary="every connection of clients is reset, new ones too",
            meaning="a firewall or gateway that was restarted or dropped its table",
            strikes=(),
            make={DOCKER: toxic("reset_peer", {"timeout": 0}, reset)},
            on_the_way=True,
        ),
        Fault(
            name="half-open",
            summary="requests arrive, and no answer comes back; connections stay open",
            meaning="a gateway that forgot the way back, asymmetric routes",
            strikes=(),
            make={DOCKER: toxic("timeout", {"timeout": 0}, silent)},
            on_the_way=True,
        ),
        Fault(
            name="response-drop",
            summary=f"{DROPPED:.0%} of connections lose their answers after the server's work is "
            "done, and are closed",
            meaning="the case in which a client repeats a write that was already committed",
            strikes=(),
            make={DOCKER: toxic("timeout", {"timeout": DROP_MS}, some_lost, DROPPED)},
            on_the_way=True,
        ),
    )
}
