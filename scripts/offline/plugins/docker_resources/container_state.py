"""What a container that exists says about itself: outputs, and inputs that people changed."""

import json
from typing import Any

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.schema import normal

from .container_config import MB
from .container_table import TABLE
from .durations import canonical

COMPUTED = (
    "bridge",
    "command",
    "containerLogs",
    "entrypoints",
    "exitCode",
    "hostname",
    "init",
    "ipcMode",
    "logDriver",
    "memorySwap",
    "networkDatas",
    "ports",
    "securityOpts",
    "shmSize",
    "stopSignal",
    "stopTimeout",
)


def outputs(live: dict[str, Any], inputs: Properties) -> Properties:
    """The outputs that are not inputs, and those inputs which Docker fills in.

    `live` is what `inspect` says. Ports come in the order of their numbers in the container,
    networks in no order that the program could know.
    """
    config, host, state = live["Config"], live["HostConfig"], live["State"]
    settings = live["NetworkSettings"]
    every = {
        "bridge": settings["Bridge"],
        "command": config["Cmd"],
        "entrypoints": config["Entrypoint"],
        "exitCode": None if state["Running"] or state["Status"] == "created" else state["ExitCode"],
        "hostname": config["Hostname"],
        "init": bool(host.get("Init")),
        "ipcMode": host["IpcMode"],
        "logDriver": host["LogConfig"]["Type"],
        "memorySwap": _swap(host) or None,
        "networkDatas": _network_datas(settings["Networks"]),
        "ports": _ports(live) if inputs.get("ports") and state["Running"] else None,
        "securityOpts": host["SecurityOpt"] or [],
        "shmSize": host["ShmSize"] // MB,
        "stopSignal": config.get("StopSignal"),
        "stopTimeout": config.get("StopTimeout"),
    }
    return {name: value for name, value in every.items() if value is not None}


def _network_datas(live: dict[str, Any]) -> list[Properties]:
    found = sorted(live.items(), key=lambda item: str(item[1]["NetworkID"]))
    return [_network_data(name, one) for name, one in found]


def _network_data(name: str, endpoint: dict[str, Any]) -> Properties:
    return {
        "networkName": name,
        "ipAddress": endpoint["IPAddress"],
        "ipPrefixLength": endpoint["IPPrefixLen"],
        "gateway": endpoint["Gateway"],
        "globalIpv6Address": endpoint["GlobalIPv6Address"],
        "globalIpv6PrefixLength": endpoint["GlobalIPv6PrefixLen"],
        "ipv6Gateway": endpoint["IPv6Gateway"],
        "macAddress": endpoint["MacAddress"],
    }


def _ports(live: dict[str, Any]) -> list[Properties]:
    """The ports that are published, with the numbers that Docker chose."""
    ports = [
        {
            "internal": int(key.partition("/")[0]),
            "external": int(binding["HostPort"]),
            "ip": binding["HostIp"],
            "protocol": key.partition("/")[2],
        }
        for key, bindings in (live["NetworkSettings"]["Ports"] or {}).items()
        for binding in bindings or []
    ]
    return sorted(ports, key=lambda one: int(one["internal"]))


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
        "domainname": config["Domainname"],
        "tty": config["Tty"],
        "stdinOpen": config["OpenStdin"],
        "stopSignal": config.get("StopSignal"),
        "stopTimeout": config.get("StopTimeout"),
        "groupAdds": host["GroupAdd"],
        "init": host.get("Init"),
        "networkMode": host["NetworkMode"],
        "publishAllPorts": host["PublishAllPorts"],
        "dns": host["Dns"],
        "dnsOpts": host["DnsOptions"],
        "dnsSearches": host["DnsSearch"],
        "readOnly": host["ReadonlyRootfs"],
        "tmpfs": host.get("Tmpfs"),
        "shmSize": host["ShmSize"] // MB,
        "capabilities": _capabilities(host),
        "securityOpts": host["SecurityOpt"],
        "privileged": host["Privileged"],
        "sysctls": host.get("Sysctls"),
        "ipcMode": host["IpcMode"],
        "usernsMode": host["UsernsMode"],
        "cpuShares": host["CpuShares"],
        "cpuSet": host["CpusetCpus"],
        "memory": host["Memory"] // MB,
        "memorySwap": _swap(host),
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
            for one in _ports(live)
            if one["internal"] in asked
        ]
    return found


def _without(value: Properties, name: str) -> Properties:
    return {key: item for key, item in value.items() if key != name}


def _capabilities(host: dict[str, Any]) -> Properties | None:
    every = {"adds": host["CapAdd"], "drops": host["CapDrop"]}
    return every if any(every.values()) else None


def _swap(host: dict[str, Any]) -> int:
    swap: int = host["MemorySwap"]
    return swap // MB if swap > 0 else swap


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


def inputs_now(inputs: Properties, live: dict[str, Any]) -> Properties:
    """The inputs as if someone had written what is there.

    Docker lets people rename a container, stop it, change limits and restart policy, and attach
    networks. Everything else stays as long as the id does.
    """
    now = dict(inputs)
    host = live["HostConfig"]
    _note(now, "name", live["Name"].lstrip("/"), inputs.get("name"))
    _note(now, "restart", host["RestartPolicy"]["Name"] or "no", inputs.get("restart", "no"))
    retries = host["RestartPolicy"]["MaximumRetryCount"]
    _note(now, "maxRetryCount", retries, inputs.get("maxRetryCount", 0))
    for name, value in (
        ("memory", host["Memory"] // MB),
        ("memoryReservation", host["MemoryReservation"] // MB),
        ("cpuShares", host["CpuShares"]),
    ):
        _note(now, name, value, inputs.get(name) or 0)
    _note(now, "cpuSet", host["CpusetCpus"], inputs.get("cpuSet") or "")
    if inputs.get("memorySwap"):
        _note(now, "memorySwap", _swap(host), inputs["memorySwap"])
    if not live["State"]["Running"] and inputs.get("mustRun", True) and inputs.get("start", True):
        now["mustRun"] = False
    networks = inputs.get("networksAdvanced")
    if networks and live["State"]["Running"]:
        now["networksAdvanced"] = _networks_now(networks, live["NetworkSettings"]["Networks"])
    return now


def _note(now: Properties, name: str, is_: Any, was: Any) -> None:
    if is_ != was:
        now[name] = is_


def _networks_now(wanted: list[Properties], live: dict[str, Any]) -> list[Properties]:
    names = {name for name, one in live.items()} | {one["NetworkID"] for one in live.values()}
    kept = [one for one in wanted if one["name"] in names]
    asked = {one["name"] for one in wanted}
    foreign = [{"name": name} for name, one in live.items() if not {name, one["NetworkID"]} & asked]
    return kept + foreign
