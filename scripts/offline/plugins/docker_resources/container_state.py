"""What a container that exists says about itself: outputs, and inputs that people changed."""

from typing import Any

from scripts.offline.plugins.protocol.codec import Properties

from .container_config import MB

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
    "networkDatas",
    "ports",
    "securityOpts",
    "shmSize",
    "stopSignal",
    "stopTimeout",
)


def outputs(live: dict[str, Any], inputs: Properties) -> Properties:
    """The outputs that are not inputs, and those inputs which Docker fills in.

    `live` is what `inspect` says; ports and networks come in the order of the inputs.
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
        "networkDatas": _network_datas(settings["Networks"], inputs),
        "ports": _ports(inputs.get("ports") or [], settings["Ports"] or {}),
        "securityOpts": host["SecurityOpt"] or [],
        "shmSize": host["ShmSize"] // MB,
        "stopSignal": config.get("StopSignal"),
        "stopTimeout": config.get("StopTimeout"),
    }
    return {name: value for name, value in every.items() if value is not None}


def _network_datas(live: dict[str, Any], inputs: Properties) -> list[Properties]:
    asked = [one["name"] for one in inputs.get("networksAdvanced") or []]

    def place(item: tuple[str, dict[str, Any]]) -> int:
        places = [asked.index(key) for key in (item[0], item[1]["NetworkID"]) if key in asked]
        return min(places, default=len(asked))

    return [_network_data(name, one) for name, one in sorted(live.items(), key=place)]


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


def _ports(wanted: list[Properties], published: dict[str, Any]) -> list[Properties] | None:
    """The ports with those that Docker chose; a container that does not run publishes none."""
    left = {key: list(bindings or []) for key, bindings in published.items()}
    ports = []
    for port in wanted:
        full: Properties = {"ip": "0.0.0.0", "protocol": "tcp"} | port  # noqa: S104 - Docker's own default
        bindings = left.get(f"{full['internal']}/{full['protocol']}", [])
        found = next((one for one in bindings if one["HostIp"] == full["ip"]), None)
        if found is not None:
            bindings.remove(found)
            full["external"] = int(found["HostPort"])
        ports.append(full)
    return ports or None


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
        ("cpuPeriod", host["CpuPeriod"]),
        ("cpuQuota", host["CpuQuota"]),
    ):
        _note(now, name, value, inputs.get(name) or 0)
    _note(now, "cpuSet", host["CpusetCpus"], inputs.get("cpuSet") or "")
    if inputs.get("memorySwap"):  # else Docker derives it
        swap = host["MemorySwap"]
        _note(now, "memorySwap", swap // MB if swap > 0 else swap, inputs["memorySwap"])
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
