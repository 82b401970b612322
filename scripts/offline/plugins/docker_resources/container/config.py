"""From a container's inputs to the body of the engine's `POST /containers/create`.

Field names and units are those of the Docker Engine API, version 1.41.
"""

from typing import Any

from scripts.offline.plugins.docker_resources.container.durations import nanoseconds
from scripts.offline.plugins.docker_resources.shared import labels_from
from scripts.offline.plugins.protocol.codec import Properties

MB = 1024 * 1024


def body(inputs: Properties) -> dict[str, Any]:
    """The whole body. Its network is `networkMode`: the others are connected afterwards."""
    config: dict[str, Any] = {
        "Image": inputs["image"],
        "Cmd": inputs.get("command"),
        "Entrypoint": inputs.get("entrypoints"),
        "Env": inputs.get("envs"),
        "User": inputs.get("user"),
        "WorkingDir": inputs.get("workingDir"),
        "Hostname": inputs.get("hostname"),
        "Domainname": inputs.get("domainname"),
        "Labels": labels_from(inputs),
        "Tty": inputs["tty"],
        "OpenStdin": inputs["stdinOpen"],
        "StopSignal": inputs.get("stopSignal"),
        "StopTimeout": inputs.get("stopTimeout"),
        "ExposedPorts": {_port_key(port): {} for port in inputs.get("ports") or []},
        "Volumes": {
            volume["containerPath"]: {}
            for volume in inputs.get("volumes") or []
            if not _volume_source(volume) and volume.get("containerPath")
        },
        "HostConfig": _host_config(inputs),
    }
    if check := inputs.get("healthcheck"):
        config["Healthcheck"] = {
            "Test": check["tests"],
            "Interval": nanoseconds(check.get("interval") or "0s"),
            "Timeout": nanoseconds(check.get("timeout") or "0s"),
            "StartPeriod": nanoseconds(check.get("startPeriod") or "0s"),
            "Retries": check.get("retries") or 0,
        }
    specified: dict[str, Any] = _without_none(config)
    return specified


def _host_config(inputs: Properties) -> dict[str, Any]:
    capabilities = inputs.get("capabilities") or {}
    volumes = inputs.get("volumes") or []
    return {
        "Binds": [_bind(volume) for volume in volumes if _volume_source(volume)],
        "VolumesFrom": [v["fromContainer"] for v in volumes if v.get("fromContainer")],
        "Mounts": [_mount(mount) for mount in inputs.get("mounts") or []],
        "Tmpfs": inputs.get("tmpfs"),
        "ReadonlyRootfs": inputs["readOnly"],
        "ShmSize": _megabytes(inputs.get("shmSize")),
        "Devices": [
            {
                "PathOnHost": device["hostPath"],
                "PathInContainer": device.get("containerPath") or device["hostPath"],
                "CgroupPermissions": device.get("permissions") or "rwm",
            }
            for device in inputs.get("devices") or []
        ],
        "NetworkMode": inputs["networkMode"],
        "PortBindings": _port_bindings(inputs.get("ports") or []),
        "PublishAllPorts": inputs["publishAllPorts"],
        "Dns": inputs.get("dns"),
        "DnsOptions": inputs.get("dnsOpts"),
        "DnsSearch": inputs.get("dnsSearches"),
        "ExtraHosts": [f"{host['host']}:{host['ip']}" for host in inputs.get("hosts") or []],
        "CapAdd": capabilities.get("adds"),
        "CapDrop": capabilities.get("drops"),
        "SecurityOpt": inputs.get("securityOpts"),
        "Privileged": inputs["privileged"],
        "GroupAdd": inputs.get("groupAdds"),
        "Sysctls": inputs.get("sysctls"),
        "Ulimits": [
            {"Name": limit["name"], "Soft": limit["soft"], "Hard": limit["hard"]}
            for limit in inputs.get("ulimits") or []
        ],
        "PidMode": inputs.get("pidMode"),
        "IpcMode": inputs.get("ipcMode"),
        "UsernsMode": inputs.get("usernsMode"),
        "Memory": _megabytes(inputs.get("memory")),
        "MemorySwap": _megabytes(inputs.get("memorySwap")),
        "MemoryReservation": _megabytes(inputs.get("memoryReservation")),
        "CpuShares": inputs.get("cpuShares"),
        "CpusetCpus": inputs.get("cpuSet"),
        "CpuPeriod": inputs.get("cpuPeriod"),
        "CpuQuota": inputs.get("cpuQuota"),
        "NanoCpus": round(float(inputs["cpus"]) * 1e9) if inputs.get("cpus") else None,
        "LogConfig": {"Type": inputs.get("logDriver") or "", "Config": inputs.get("logOpts") or {}},
        "RestartPolicy": restart_policy(inputs),
        "AutoRemove": inputs["rm"],
        "Init": inputs.get("init"),
    }


def restart_policy(inputs: Properties) -> dict[str, Any]:
    """Docker's restart policy."""
    return {"Name": inputs["restart"], "MaximumRetryCount": inputs["maxRetryCount"]}


def limits(inputs: Properties) -> dict[str, Any]:
    """The limits that the official plugin changes, as the client's update takes them."""
    values = {
        "mem_limit": _megabytes(inputs.get("memory")),
        "memswap_limit": _megabytes(inputs.get("memorySwap")),
        "mem_reservation": _megabytes(inputs.get("memoryReservation")),
        "cpu_shares": inputs.get("cpuShares"),
        "cpuset_cpus": inputs.get("cpuSet"),
    }
    return {name: value for name, value in values.items() if value}


def connect_options(network: Properties) -> dict[str, Any]:
    """One of `networksAdvanced` as the client's `connect_container_to_network` takes it."""
    return {
        "aliases": network.get("aliases"),
        "ipv4_address": network.get("ipv4Address"),
        "ipv6_address": network.get("ipv6Address"),
        "link_local_ips": network.get("linkLocalIps"),
    }


def _megabytes(value: int | None) -> int | None:
    if value is None:
        return None
    return value * MB if value > 0 else value


def _port_key(port: Properties) -> str:
    return f"{port['internal']}/{port.get('protocol') or 'tcp'}"


def _port_bindings(ports: list[Properties]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        # No host port, or 0: Docker chooses a free one.
        host_port = str(port.get("external") or "")
        # Without an address the official plugin says 0.0.0.0, which leaves out IPv6.
        binding = {"HostIp": port.get("ip") or "0.0.0.0", "HostPort": host_port}  # noqa: S104
        bindings.setdefault(_port_key(port), []).append(binding)
    return bindings


def _volume_source(volume: Properties) -> str | None:
    return volume.get("volumeName") or volume.get("hostPath")


def _bind(volume: Properties) -> str:
    modes = ["ro" if volume.get("readOnly") else "rw"]
    if relabel := volume.get("selinuxRelabel"):
        modes.append(relabel)
    return f"{_volume_source(volume)}:{volume['containerPath']}:{','.join(modes)}"


def _mount(mount: Properties) -> dict[str, Any]:
    made: dict[str, Any] = {
        "Type": mount["type"],
        "Target": mount["target"],
        "Source": mount.get("source"),
        "ReadOnly": mount.get("readOnly") or False,
    }
    if bind := mount.get("bindOptions"):
        made["BindOptions"] = {"Propagation": bind.get("propagation")}
    if tmpfs := mount.get("tmpfsOptions"):
        made["TmpfsOptions"] = {"SizeBytes": tmpfs.get("sizeBytes"), "Mode": tmpfs.get("mode")}
    return made


def _without_none(value: Any) -> Any:
    """The body without what was not said, so that Docker's own defaults hold."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
