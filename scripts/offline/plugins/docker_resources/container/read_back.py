"""Whether Docker gives back what it was asked for."""

import json
from typing import Any

from scripts.offline.plugins.docker_resources.container.config import MB
from scripts.offline.plugins.docker_resources.container.durations import canonical
from scripts.offline.plugins.docker_resources.container.state import published_ports, swap
from scripts.offline.plugins.docker_resources.container.table import TABLE
from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.schema import normal


def refuse_other_forms(live: dict[str, Any], inputs: Properties) -> None:
    """Raise RefusedError for what Docker gives back in another form than it was asked for.

    The official plugin would want to change it for ever. Known forms are refused before anything
    is made; this is for engines that differ.
    """
    for name, is_ in _read_back(live, inputs).items():
        prop, requested = TABLE[name], inputs.get(name)
        if requested is None and (prop.kept or prop.read_back):
            continue
        if normal(requested, prop) != normal(is_ or None, prop):
            raise RefusedError(
                f"'{name}' is given back by this Docker as {json.dumps(is_)}, which the official "
                "plugin takes for a change for ever: write it so, or do without it"
            )


def _read_back(live: dict[str, Any], inputs: Properties) -> Properties:
    """The inputs as the official plugin reads them; those it never reads are not among them."""
    config, host = live["Config"], live["HostConfig"]
    properties: Properties = {
        "command": config["Cmd"],
        "entrypoints": config["Entrypoint"],
        "user": config["User"],
        "workingDir": config["WorkingDir"],
        "hostname": config["Hostname"],
        "domainname": config.get("Domainname"),
        "tty": config["Tty"],
        "stdinOpen": config["OpenStdin"],
        "stopSignal": config.get("StopSignal"),
        "stopTimeout": config.get("StopTimeout"),
        "groupAdds": host.get("GroupAdd"),
        "init": host.get("Init"),
        "networkMode": host["NetworkMode"],
        "publishAllPorts": host["PublishAllPorts"],
        "dns": host.get("Dns"),
        "dnsOpts": host.get("DnsOptions"),
        "dnsSearches": host.get("DnsSearch"),
        "readOnly": host["ReadonlyRootfs"],
        "tmpfs": host.get("Tmpfs"),
        "shmSize": host["ShmSize"] // MB,
        "capabilities": _capabilities(host),
        "securityOpts": host.get("SecurityOpt"),
        "privileged": host["Privileged"],
        "sysctls": host.get("Sysctls"),
        "ipcMode": host["IpcMode"],
        "usernsMode": host.get("UsernsMode"),
        "cpuShares": host.get("CpuShares"),
        "cpuSet": host.get("CpusetCpus"),
        "memory": host["Memory"] // MB,
        "memorySwap": swap(host),
        "memoryReservation": host["MemoryReservation"] // MB,
        "logDriver": host["LogConfig"]["Type"],
        "restart": host["RestartPolicy"]["Name"],
        "maxRetryCount": host["RestartPolicy"]["MaximumRetryCount"],
        "rm": host["AutoRemove"],
        "mounts": [_mount(mount) for mount in host.get("Mounts") or []],
        "hosts": [
            dict(zip(("host", "ip"), entry.split(":")[:2], strict=True))
            for entry in host.get("ExtraHosts") or []
        ],
    }
    if check := config.get("Healthcheck"):
        properties["healthcheck"] = _healthcheck(check)
    if inputs.get("logOpts"):
        properties["logOpts"] = host["LogConfig"]["Config"]
    if (ports := inputs.get("ports")) and live["State"]["Running"]:
        requested = {port["internal"]: port for port in ports}
        # A number that Docker chose is as good as asked for.
        properties["ports"] = [
            port if requested[port["internal"]].get("external") else _without(port, "external")
            for port in published_ports(live)
            if port["internal"] in requested
        ]
    return properties


def _without(value: Properties, name: str) -> Properties:
    return {key: item for key, item in value.items() if key != name}


def _capabilities(host: dict[str, Any]) -> Properties | None:
    every = {"adds": host.get("CapAdd"), "drops": host.get("CapDrop")}
    return every if any(every.values()) else None


def _healthcheck(check: dict[str, Any]) -> Properties:
    return {
        "tests": check.get("Test"),
        "interval": canonical(check.get("Interval", 0)),
        "timeout": canonical(check.get("Timeout", 0)),
        "startPeriod": canonical(check.get("StartPeriod", 0)),
        "retries": check.get("Retries", 0),
    }


def _mount(mount: dict[str, Any]) -> Properties:
    properties: Properties = {
        "type": mount["Type"],
        "target": mount["Target"],
        "source": mount.get("Source") or None,
        "readOnly": mount.get("ReadOnly", False),
    }
    if (bind := mount.get("BindOptions")) is not None:
        properties["bindOptions"] = {"propagation": bind.get("Propagation")}
    if (tmpfs := mount.get("TmpfsOptions")) is not None:
        properties["tmpfsOptions"] = {
            "sizeBytes": tmpfs.get("SizeBytes"),
            "mode": tmpfs.get("Mode"),
        }
    return properties
