"""What a container that exists says about itself: outputs, and inputs that people changed."""

from typing import Any

from scripts.offline.plugins.docker_resources.container.config import MB
from scripts.offline.plugins.protocol.codec import Properties

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
        "bridge": settings.get("Bridge", ""),
        "command": config["Cmd"],
        "entrypoints": config["Entrypoint"],
        "exitCode": None if state["Running"] or state["Status"] == "created" else state["ExitCode"],
        "hostname": config["Hostname"],
        "init": bool(host.get("Init")),
        "ipcMode": host["IpcMode"],
        "logDriver": host["LogConfig"]["Type"],
        "memorySwap": swap(host) or None,
        "networkDatas": _network_datas(settings["Networks"]),
        "ports": published_ports(live) if inputs.get("ports") and state["Running"] else None,
        "securityOpts": host["SecurityOpt"] or [],
        "shmSize": host["ShmSize"] // MB,
        "stopSignal": config.get("StopSignal"),
        "stopTimeout": config.get("StopTimeout"),
    }
    return {name: value for name, value in every.items() if value is not None}


def _network_datas(live: dict[str, Any]) -> list[Properties]:
    networks = sorted(live.items(), key=lambda item: str(item[1]["NetworkID"]))
    return [_network_data(name, endpoint) for name, endpoint in networks]


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


def published_ports(live: dict[str, Any]) -> list[Properties]:
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
    return sorted(ports, key=lambda port: int(port["internal"]))


def swap(host: dict[str, Any]) -> int:
    """Memory and swap together as the program says it: in MiB, or -1 for no limit."""
    total: int = host["MemorySwap"]
    return total // MB if total > 0 else total


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
        _note(now, "memorySwap", swap(host), inputs["memorySwap"])
    if not live["State"]["Running"] and inputs.get("mustRun", True) and inputs.get("start", True):
        now["mustRun"] = False
    networks = inputs.get("networksAdvanced")
    if networks and live["State"]["Running"]:
        now["networksAdvanced"] = _networks_now(networks, live["NetworkSettings"]["Networks"])
    return now


def _note(now: Properties, name: str, is_: Any, was: Any) -> None:
    if is_ != was:
        now[name] = is_


def _networks_now(requested: list[Properties], live: dict[str, Any]) -> list[Properties]:
    names = {name for name, endpoint in live.items()} | {
        endpoint["NetworkID"] for endpoint in live.values()
    }
    kept = [endpoint for endpoint in requested if endpoint["name"] in names]
    requested_names = {endpoint["name"] for endpoint in requested}
    foreign = [
        {"name": name}
        for name, endpoint in live.items()
        if not {name, endpoint["NetworkID"]} & requested_names
    ]
    return kept + foreign
