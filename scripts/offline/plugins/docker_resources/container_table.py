"""The properties of `docker.Container` that are served, and what a change of each means.

The official provider replaces for nearly all. In place go those which Docker can change on a
living container (`docker update`), and those which only the plugin reads. The official one also
lets `healthcheck`, `init`, `tmpfs` and `rm` pass as updates in place, without any effect on the
container; here they replace, so that what the program says is what runs.
"""

import re
from typing import Any

from scripts.offline.plugins.protocol.schema import (
    Change,
    boolean,
    integer,
    one_of,
    record,
    records,
    text,
    text_map,
    texts,
)

from .durations import duration
from .shared import LABELS, absolute_path, docker_name, matching


def _variable(value: str) -> str | None:
    return None if re.match(r"[^=]+=", value) else "must be of the form KEY=VALUE"


PATH: dict[str, Any] = {"rule": absolute_path}
IN_PLACE: dict[str, Any] = {"change": Change.UPDATE}
LIMIT: dict[str, Any] = {"change": Change.UPDATE_IF_SET}

HEALTHCHECK = {
    "tests": texts(required=True),
    "interval": text(default="0s", rule=duration),
    "timeout": text(default="0s", rule=duration),
    "startPeriod": text(default="0s", rule=duration),
    "retries": integer(0, default=0),
}
PORT = {
    "internal": integer(1, 65535, required=True),
    "external": integer(0, 65535),
    "ip": text(default="0.0.0.0"),  # noqa: S104 - Docker's own default
    "protocol": text(default="tcp", rule=one_of("tcp", "udp", "sctp")),
}
NETWORK = {
    "name": text(required=True),
    "aliases": texts(unordered=True),
    "ipv4Address": text(),
    "ipv6Address": text(),
    "linkLocalIps": texts(unordered=True),
}
VOLUME = {
    "containerPath": text(**PATH),
    "hostPath": text(**PATH),
    "volumeName": text(),
    "fromContainer": text(),
    "readOnly": boolean(default=False),
    "selinuxRelabel": text(rule=one_of("z", "Z")),
}
PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
MOUNT = {
    "target": text(required=True, **PATH),
    "type": text(required=True, rule=one_of("bind", "volume", "tmpfs")),
    "source": text(),
    "readOnly": boolean(default=False),
    "bindOptions": record({"propagation": text(rule=one_of(*PROPAGATIONS))}),
    "tmpfsOptions": record({"mode": integer(0), "sizeBytes": integer(0)}),
    "volumeOptions": record(
        {
            "driverName": text(),
            "driverOptions": text_map(),
            "labels": LABELS,
            "noCopy": boolean(default=False),
        }
    ),
}
UPLOAD = {
    "file": text(required=True, **PATH),
    "content": text(),
    "contentBase64": text(),
    "source": text(),
    "sourceHash": text(),
    "executable": boolean(default=False),
    "permissions": text(rule=matching("0[0-7]{3}", "four octal digits such as 0400")),
    "owner": text(),
    "group": text(),
}
DEVICE = {
    "hostPath": text(required=True, **PATH),
    "containerPath": text(**PATH),
    "permissions": text(default="rwm", rule=matching("[rwm]{1,3}", "made of r, w and m")),
}
ULIMIT = {
    "name": text(required=True),
    "soft": integer(required=True),
    "hard": integer(required=True),
}

TABLE = {
    # what runs
    "name": text(rule=docker_name),
    "image": text(required=True),
    "command": texts(),
    "entrypoints": texts(),
    "envs": texts(unordered=True, each=_variable),
    "user": text(),
    "groupAdds": texts(unordered=True),
    "workingDir": text(),
    "hostname": text(),
    "domainname": text(),
    "labels": LABELS,
    "tty": boolean(default=False),
    "stdinOpen": boolean(default=False),
    "init": boolean(),
    "healthcheck": record(HEALTHCHECK),
    "stopSignal": text(),
    "stopTimeout": integer(0),
    "uploads": records(UPLOAD),
    # networks
    "networkMode": text(default="bridge"),
    "networksAdvanced": records(NETWORK),
    "ports": records(PORT, unordered=False),
    "publishAllPorts": boolean(default=False),
    "dns": texts(unordered=True),
    "dnsOpts": texts(unordered=True),
    "dnsSearches": texts(unordered=True),
    "hosts": records({"host": text(required=True), "ip": text(required=True)}),
    # files
    "readOnly": boolean(default=False),
    "volumes": records(VOLUME),
    "mounts": records(MOUNT),
    "tmpfs": text_map(),
    "shmSize": integer(0),
    "devices": records(DEVICE),
    # rights and isolation
    "capabilities": record({"adds": texts(unordered=True), "drops": texts(unordered=True)}),
    "securityOpts": texts(unordered=True),
    "privileged": boolean(default=False),
    "sysctls": text_map(),
    "ulimits": records(ULIMIT),
    "pidMode": text(),
    "ipcMode": text(),
    "usernsMode": text(),
    # limits; memory in MB as the official provider has it
    "memory": integer(0, **LIMIT),
    "memorySwap": integer(-1, **LIMIT),
    "memoryReservation": integer(0, **LIMIT),
    "cpuShares": integer(0, **LIMIT),
    "cpuSet": text(rule=matching(r"\d+([,-]\d+)*", "a set of CPUs such as 0-1,3"), **LIMIT),
    "cpuPeriod": integer(0, **LIMIT),
    "cpuQuota": integer(0, **LIMIT),
    "cpus": text(rule=matching(r"\d+(\.\d+)?", "a number of CPUs such as 1.5")),
    # logs
    "logDriver": text(),
    "logOpts": text_map(),
    # life cycle
    "restart": text(
        default="no", rule=one_of("no", "on-failure", "always", "unless-stopped"), **IN_PLACE
    ),
    "maxRetryCount": integer(0, default=0, **IN_PLACE),
    "start": boolean(default=True, **IN_PLACE),
    "mustRun": boolean(default=True, **IN_PLACE),
    "wait": boolean(default=False, **IN_PLACE),
    "waitTimeout": integer(1, default=60, **IN_PLACE),
    "containerReadRefreshTimeoutMilliseconds": integer(0, default=15000, **IN_PLACE),
    "attach": boolean(default=False, **IN_PLACE),
    "logs": boolean(default=False, **IN_PLACE),
    "rm": boolean(default=False),
    "removeVolumes": boolean(default=True, **IN_PLACE),
    "destroyGraceSeconds": integer(0, **IN_PLACE),
}
