"""How long `pulumi up` takes beside docker-compose with the same containers.

    python -m tests.benchmarks.up [--rounds 3]

Each round deploys the `local` stack's containers both ways, in alternating order, from images
that are present and without data, until the tracking server is healthy. The containers of the
compose file are written from what Docker says of the deployed stack. Times are in seconds; what
counts is the ratio. Needs Docker, an activated shell, and docker-compose (1.29 or newer).
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import docker
import yaml

from tests.e2e.stack import Stack, end, new_stack

NAME = "bench-up"
PREFIX = f"mlflow-bench-{NAME}-"


def compose_file(client: docker.DockerClient, folder: Path, port: int) -> Path:
    """Write the deployed stack's containers as a compose file and return its path."""
    waits = {
        "postgres": {},
        "schema-job": {"postgres": {"condition": "service_healthy"}},
        "mlflow-a-1": {"schema-job": {"condition": "service_completed_successfully"}},
    }
    password = folder / "password"
    password.write_text("a-password-of-the-benchmark")
    volumes: dict[str, None] = {}
    services: dict[str, Any] = {}
    for name, depends in waits.items():
        found = client.containers.get(PREFIX + name).attrs
        config, host = found["Config"], found["HostConfig"]
        mounts = [f"{password}:/run/secrets/database-password:ro"]
        for mount in found["Mounts"]:
            if mount["Destination"] != "/run/secrets":
                volumes[name] = None
                mounts.append(f"{name}:{mount['Destination']}")
        services[name] = {
            "image": config["Image"],
            "command": config["Cmd"],
            "environment": config["Env"],
            "hostname": config["Hostname"],
            "read_only": host["ReadonlyRootfs"],
            "cap_drop": host["CapDrop"],
            "security_opt": host["SecurityOpt"],
            "tmpfs": [f"{path}:{options}" for path, options in host["Tmpfs"].items()],
            "init": host["Init"],
            "logging": {"driver": "json-file", "options": host["LogConfig"]["Config"]},
            "volumes": mounts,
            "depends_on": depends,
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
    services["mlflow-a-1"]["ports"] = [f"127.0.0.1:{port}:5000"]
    path = folder / "docker-compose.yaml"
    path.write_text(yaml.safe_dump({"version": "3.9", "services": services, "volumes": volumes}))
    return path


def timed_compose(client: docker.DockerClient, path: Path) -> float:
    """Return the time until compose's tracking server is healthy; remove everything after."""
    command = ["docker-compose", "-p", "benchup", "-f", str(path)]
    try:
        start = time.monotonic()
        subprocess.run([*command, "up", "-d"], check=True, capture_output=True)
        [server] = client.containers.list(
            filters={
                "label": [
                    "com.docker.compose.project=benchup",
                    "com.docker.compose.service=mlflow-a-1",
                ]
            }
        )
        while server.attrs["State"]["Health"]["Status"] != "healthy":
            time.sleep(0.1)
            server.reload()
        return time.monotonic() - start
    finally:
        subprocess.run([*command, "down", "-v", "-t", "5"], check=True, capture_output=True)


def timed(stack: Stack, command: str) -> float:
    """Return the time of a Pulumi command that a person would type, without a question."""
    start = time.monotonic()
    stack.run(command, "--yes")
    return time.monotonic() - start


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the times of each kind, one of each for every round."""
    client = docker.from_env()
    times: dict[str, list[float]] = {"up": [], "no-op up": [], "destroy": [], "compose": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stack = new_stack(NAME, folder)
        try:
            stack.up()
            path = compose_file(client, folder, stack.port)
            stack.destroy()
            for number in range(rounds):
                if number % 2:
                    times["compose"].append(timed_compose(client, path))
                times["up"].append(timed(stack, "up"))
                times["no-op up"].append(timed(stack, "up"))
                times["destroy"].append(timed(stack, "destroy"))
                if not number % 2:
                    times["compose"].append(timed_compose(client, path))
        finally:
            end(stack, client)
            client.close()
    return times


def main() -> int:
    """Measure, print a table and the ratio; exit 2 when compose is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    if not shutil.which("docker-compose"):
        print("docker-compose is missing; on Debian: apt-get install docker-compose")
        return 2
    times = measure(rounds)
    for kind, seconds in times.items():
        each = " ".join(f"{value:6.2f}" for value in seconds)
        print(f"{kind:10} median {statistics.median(seconds):6.2f} s   ({each})")
    ratios = [up / compose for up, compose in zip(times["up"], times["compose"], strict=True)]
    print(f"up / compose: median {statistics.median(ratios):.2f}")
    print(json.dumps({"ratios": ratios, **times}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
