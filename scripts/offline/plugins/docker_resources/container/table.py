"""The properties of `docker.Container` that are served, and what a change of each means.

All of it is as on the official plugin, whose forms are the only ones accepted: what it would read
back in another form is a change for ever there. `tests/offline/plugins/facts` has each as a test.
"""

import re
from dataclasses import replace
from typing import Any

from scripts.offline.plugins.docker_resources.container.durations import duration
from scripts.offline.plugins.docker_resources.shared import (
    LABELS,
    absolute_path,
    docker_name,
    matching,
)
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


def _variable(value: str) -> str | None:
    return None if re.match(r"[^=]+=", value) else "must be of the form KEY=VALUE"


def _not_empty(value: str) -> str | None:
    return None if value else "must not be empty"


def _security_opt(value: str) -> str | None:
    # It never reaches Docker, so it is never read back.
    return "must not be of systempaths" if value.startswith("systempaths") else None


def _ipv4(value: str) -> str | None:
    return "must be an IPv4 address: any other is cut at its colon" if ":" in value else None


PATH: dict[str, Any] = {"rule": absolute_path}
IN_PLACE: dict[str, Any] = {"change": Change.UPDATE}
IN_VAIN: dict[str, Any] = {"change": Change.NOTHING}
LIMIT: dict[str, Any] = {"change": Change.UPDATE_IF_SET}
KEPT: dict[str, Any] = {"kept": True}
CAPABILITY = matching("ALL|CAP_[A-Z_]+", "ALL or a name such as CAP_NET_BIND_SERVICE")

HEALTHCHECK = {
    "tests": texts(required=True),
    "interval": text(default="0s", rule=duration),
    "timeout": text(default="0s", rule=duration),
    "startPeriod": text(default="0s", rule=duration),
    "retries": integer(0, default=0),
}
PORT = {
    "internal": integer(1, 65535, required=True),
    "external": integer(1, 65535),
    "ip": text(default="0.0.0.0", rule=_not_empty),  # noqa: S104 - Docker's own default
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
}
UPLOAD = {
    "file": text(required=True, **PATH),
    "content": text(rule=_not_empty),
    "contentBase64": text(rule=_not_empty),
    "source": text(rule=_not_empty),
    "sourceHash": text(),
    "executable": boolean(default=False),
    "permissions": text(rule=matching("0[0-7]{3}", "four octal digits such as 0400")),
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
    "command": texts(each=_not_empty, **KEPT),
    "entrypoints": texts(each=_not_empty, **KEPT),
    "envs": texts(unordered=True, each=_variable, **KEPT),
    "user": text(**KEPT),
    "groupAdds": texts(unordered=True),
    "workingDir": text(**KEPT),
    "hostname": text(**KEPT),
    "domainname": text(),
    "labels": replace(LABELS, **KEPT),
    "tty": boolean(default=False),
    "stdinOpen": boolean(default=False),
    "init": boolean(**IN_VAIN, **KEPT),
    "healthcheck": record(HEALTHCHECK, **IN_VAIN, **KEPT),
    "stopSignal": text(**KEPT),
    "stopTimeout": integer(1, **KEPT),
    "uploads": records(UPLOAD),
    # networks
    "networkMode": text(default="bridge"),
    "networksAdvanced": records(NETWORK),
    "ports": records(PORT),
    "publishAllPorts": boolean(default=False),
    "dns": texts(unordered=True),
    "dnsOpts": texts(unordered=True),
    "dnsSearches": texts(unordered=True),
    "hosts": records({"host": text(required=True), "ip": text(required=True, rule=_ipv4)}),
    # files
    "readOnly": boolean(default=False),
    "volumes": records(VOLUME),
    "mounts": records(MOUNT, change=Change.REPLACE_IF_COUNT),
    "tmpfs": text_map(**IN_VAIN),
    "shmSize": integer(1, **KEPT),
    "devices": records(DEVICE),
    # rights and isolation
    "capabilities": record(
        {
            "adds": texts(unordered=True, each=CAPABILITY),
            "drops": texts(unordered=True, each=CAPABILITY),
        }
    ),
    "securityOpts": texts(unordered=True, each=_security_opt, **KEPT),
    "privileged": boolean(default=False),
    "sysctls": text_map(),
    "ulimits": records(ULIMIT),
    "pidMode": text(),
    "ipcMode": text(**KEPT),
    "usernsMode": text(),
    # limits; memory in MB as the official provider has it
    "memory": integer(1, **LIMIT),
    "memorySwap": integer(-1, read_back=True, **LIMIT),
    "memoryReservation": integer(1, **LIMIT),
    "cpuShares": integer(1, **LIMIT),
    "cpuSet": text(rule=matching(r"\d+([,-]\d+)*", "a set of CPUs such as 0-1,3"), **LIMIT),
    "cpuPeriod": integer(1, **IN_VAIN),
    "cpuQuota": integer(1, **IN_VAIN),
    "cpus": text(
        rule=matching(
            r"(0|[1-9]\d*)\.\d*[1-9]|[1-9]\d*\.0", "a number of CPUs such as 1.5 or 2.0, so written"
        )
    ),
    # logs
    "logDriver": text(**KEPT),
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
    "containerReadRefreshTimeoutMilliseconds": integer(1, default=15000, **IN_PLACE),
    "attach": boolean(default=False, **IN_PLACE),
    "logs": boolean(default=False, **IN_PLACE),
    "rm": boolean(default=False, **IN_VAIN),
    "removeVolumes": boolean(default=True, **IN_PLACE),
    "destroyGraceSeconds": integer(0, default=0, **IN_PLACE),
}
