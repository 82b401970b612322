"""Whether Docker gives back what it was asked for."""

import json
from typing import Any

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.schema import normal

from .container_config import MB
from .container_state import published_ports, swap
from .container_table import TABLE
from .durations import canonical


def refuse_other_forms(live: dict[str, Any], inputs: Properties) -> None:
    """Raise RefusedError for what Docker gives back in another form than it was asked for.

    The official plugin would want to change it for ever. Known forms are refused before anything
    is made; this is for engines that differ.
    """
    for name, is_ in _read_back(live, inputs).items():
        prop, asked = TABLE[name], inputs.get(name)
        if asked is None and (prop.kept or prop.read_back):
            continue
        if normal(asked, prop) != normal(is_ or None, prop):
            raise RefusedError(
                f"'{name}' is given back by this Docker as {json.dumps(is_)}, which the official "
                "plugin takes for a change for ever: write it so, or do without it"
            )


def _read_back(live: dict[str, Any], inputs: Properties) -> Properties:
    """The inputs as the official plugin reads them; those it never reads are not among them."""
    config, host = live["Config"], live["HostConfig"]
    found: Properties = {
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
        "mounts": [_mount(one) for one in host.get("Mounts") or []],
        "hosts": [
            dict(zip(("host", "ip"), one.split(":")[:2], strict=True))
            for one in host.get("ExtraHosts") or []
        ],
    }
    if check := config.get("Healthcheck"):
        found["healthcheck"] = _healthcheck(check)
    if inputs.get("logOpts"):
        found["logOpts"] = host["LogConfig"]["Config"]
    if (ports := inputs.get("ports")) and live["State"]["Running"]:
        asked = {one["internal"]: one for one in ports}
        # A number that Docker chose is as good as asked for.
        found["ports"] = [
            one if asked[one["internal"]].get("external") else _without(one, "external")
            for one in published_ports(live)
            if one["internal"] in asked
        ]
    return found


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
    found: Properties = {
        "type": mount["Type"],
        "target": mount["Target"],
        "source": mount.get("Source") or None,
        "readOnly": mount.get("ReadOnly", False),
    }
    if (bind := mount.get("BindOptions")) is not None:
        found["bindOptions"] = {"propagation": bind.get("Propagation")}
    if (tmpfs := mount.get("TmpfsOptions")) is not None:
        found["tmpfsOptions"] = {"sizeBytes": tmpfs.get("SizeBytes"), "mode": tmpfs.get("Mode")}
    return found
