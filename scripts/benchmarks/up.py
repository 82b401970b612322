"""How long `pulumi up` takes beside docker-compose with the same containers.

    python -m scripts.benchmarks.up [--stack local|multi-az] [--rounds 3]

Each round deploys the stack's containers both ways, in alternating order, from images that are
present and without data, until the stack's address is served by healthy containers. The compose
file is written from what Docker says of the deployed stack: the same images, commands, files,
networks and addresses. Times are in seconds; what counts is the ratio. Needs Docker, an activated
shell, and docker-compose (1.29 or newer).
"""

import argparse
import io
import json
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Any

import docker
import requests
import yaml
from docker.models.containers import Container

from infra.labels import LABEL_STACK
from infra.outputs import Component
from tests.e2e.stack import Stack, end, new_stack

NAME = "bench-up"
PREFIX = f"mlflow-bench-{NAME}-"
FILES = ("/run/secrets", "/etc/nginx/deployment")
"""Folders whose files a stack writes into volumes; compose mounts them from a folder."""

SETTINGS: dict[str, dict[str, Any]] = {
    "local": {},
    "multi-az": {"zones": 2, "artifacts": "s3"},
}


def depends_on(services: list[str]) -> dict[str, dict[str, dict[str, str]]]:
    """Return compose's order of starts, which is that of a stack."""
    stores = [name for name in services if name in ("postgres", "object-store")]
    replicas = [name for name in services if name.startswith("mlflow-")]
    order = {"schema-job": dict.fromkeys(stores, "service_healthy")}
    order |= {name: {"schema-job": "service_completed_successfully"} for name in replicas}
    order["nginx"] = dict.fromkeys(replicas, "service_healthy")
    return {
        name: {other: {"condition": condition} for other, condition in order.get(name, {}).items()}
        for name in services
    }


def save_files(container: Container, path: str, folder: Path) -> None:
    """Write the files of a container's folder into `folder`."""
    stream, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        for member in archive.getmembers():
            if member.isfile() and (content := archive.extractfile(member)):
                file = folder / Path(member.name).name
                file.write_bytes(content.read())
                file.chmod(0o444)


def compose_file(client: docker.DockerClient, folder: Path) -> Path:
    """Write the deployed stack's containers as a compose file and return its path."""
    mine: Any = {"label": f"{LABEL_STACK}={NAME}"}
    networks = {
        str(network.name).removeprefix(PREFIX): {
            "ipam": {"config": network.attrs["IPAM"]["Config"]}
        }
        for network in client.networks.list(filters=mine)
    }
    for network in networks.values():
        for pool in network["ipam"]["config"]:
            pool.pop("Gateway", None)
            pool["subnet"] = pool.pop("Subnet")
    volumes: dict[str, None] = {}
    services: dict[str, Any] = {}
    for container in client.containers.list(all=True, filters=mine, ignore_removed=True):
        name = str(container.name).removeprefix(PREFIX)
        config, host = container.attrs["Config"], container.attrs["HostConfig"]
        mounts = []
        for mount in container.attrs["Mounts"]:
            path = mount["Destination"]
            if path in FILES:
                files = folder / name / Path(path).name
                files.mkdir(parents=True)
                save_files(container, path, files)
                mounts.append(f"{files}:{path}:ro")
            else:
                volume = mount["Name"].removeprefix(PREFIX)
                volumes[volume] = None
                mounts.append(f"{volume}:{path}")
        places = {}
        for network, place in container.attrs["NetworkSettings"]["Networks"].items():
            address = (place["IPAMConfig"] or {}).get("IPv4Address")
            places[network.removeprefix(PREFIX)] = {"ipv4_address": address} if address else {}
        services[name] = {
            "image": config["Image"],
            "command": config["Cmd"] or [],
            "environment": config["Env"],
            "hostname": config["Hostname"],
            "read_only": host["ReadonlyRootfs"],
            "cap_drop": host["CapDrop"],
            "security_opt": host["SecurityOpt"],
            "tmpfs": [f"{path}:{options}" for path, options in host["Tmpfs"].items()],
            "init": host["Init"],
            "logging": {"driver": "json-file", "options": host["LogConfig"]["Config"]},
            "volumes": mounts,
            "networks": places,
            "ports": [
                f"{binding['HostIp']}:{binding['HostPort']}:{inside.removesuffix('/tcp')}"
                for inside, bindings in (host["PortBindings"] or {}).items()
                for binding in bindings
            ],
            "restart": host["RestartPolicy"]["Name"],
        }
        if check := config.get("Healthcheck"):
            services[name]["healthcheck"] = {
                "test": check["Test"],
                "interval": f"{check['Interval']}ns",
                "timeout": f"{check['Timeout']}ns",
                "start_period": f"{check['StartPeriod']}ns",
                "retries": check["Retries"],
            }
    for name, order in depends_on(list(services)).items():
        services[name]["depends_on"] = order
    path = folder / "docker-compose.yaml"
    path.write_text(
        yaml.safe_dump(
            {"version": "2.4", "services": services, "volumes": volumes, "networks": networks}
        )
    )
    return path


def every_replica_answers(stack: Stack) -> None:
    """Fail unless every replica serves as soon as `up` has returned."""
    for each in stack.outputs()["target"]["components"]:
        component = Component.model_validate(each)
        if component.kind == "mlflow":
            answer = requests.post(
                f"{component.audit_uri}/api/2.0/mlflow/experiments/search",
                json={"max_results": 1},
                timeout=5,
                verify=component.ca_file or True,
            )
            answer.raise_for_status()


def run(command: list[str]) -> None:
    """Run a command; what it printed is shown when it fails."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")


def timed_compose(client: docker.DockerClient, path: Path, last: str) -> float:
    """Return the time until compose's service `last` is healthy; remove everything after."""
    command = ["docker-compose", "-p", "benchup", "-f", str(path)]
    try:
        start = time.monotonic()
        run([*command, "up", "-d"])
        [server] = client.containers.list(
            filters={
                "label": [
                    "com.docker.compose.project=benchup",
                    f"com.docker.compose.service={last}",
                ]
            },
            ignore_removed=True,
        )
        while server.attrs["State"]["Health"]["Status"] != "healthy":
            time.sleep(0.1)
            server.reload()
        return time.monotonic() - start
    finally:
        run([*command, "down", "-v", "-t", "5"])


def timed(stack: Stack, command: str) -> float:
    """Return the time of a Pulumi command that a person would type, without a question."""
    start = time.monotonic()
    stack.run(command, "--yes")
    return time.monotonic() - start


def measure(kind: str, rounds: int) -> dict[str, list[float]]:
    """Return the times of each kind, one of each for every round."""
    client = docker.from_env()
    times: dict[str, list[float]] = {"up": [], "no-op up": [], "destroy": [], "compose": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stack = new_stack(NAME, folder)
        stack.configure(**SETTINGS[kind])
        last = "mlflow-a-1" if kind == "local" else "nginx"
        try:
            stack.up()
            path = compose_file(client, folder)
            stack.destroy()
            for number in range(rounds):
                if number % 2:
                    times["compose"].append(timed_compose(client, path, last))
                times["up"].append(timed(stack, "up"))
                every_replica_answers(stack)
                times["no-op up"].append(timed(stack, "up"))
                times["destroy"].append(timed(stack, "destroy"))
                if not number % 2:
                    times["compose"].append(timed_compose(client, path, last))
        finally:
            end(stack, client)
            client.close()
    return times


def main() -> int:
    """Measure, print a table and the ratio; exit 2 when compose is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stack", choices=SETTINGS, default="local")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not shutil.which("docker-compose"):
        print("docker-compose is missing; on Debian: apt-get install docker-compose")
        return 2
    times = measure(options.stack, options.rounds)
    for kind, seconds in times.items():
        each = " ".join(f"{value:6.2f}" for value in seconds)
        print(f"{kind:10} median {statistics.median(seconds):6.2f} s   ({each})")
    ratios = [up / compose for up, compose in zip(times["up"], times["compose"], strict=True)]
    print(f"up / compose: median {statistics.median(ratios):.2f}")
    print(json.dumps({"ratios": ratios, **times}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
