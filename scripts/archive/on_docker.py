"""A stack on Docker, as a backup reaches its containers."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from infra.docker.identity import Identity
from infra.outputs import Component, Target
from scripts.archive import RefusedError

READY_SECONDS = 180


class OnDocker:
    """Runs commands in containers; the methods are those of `host.Host`."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def run(
        self,
        component: Component,
        *command: str,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> str:
        """Run a command in the component's container."""
        container = component.container
        done = subprocess.run(
            ["docker", "exec", *(["--interactive"] if stdin else []), container, *command],
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode != 0:
            message = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
            raise RefusedError(f"{command[0]} in {container}: {message[0]}")
        return (done.stdout or b"").decode()

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop the replicas' containers meanwhile."""
        replicas = [c.container for c in self._target.components if c.kind == "mlflow"]
        _docker("stop", *replicas)
        try:
            yield
        finally:
            _docker("start", *replicas)
        script = "until ready; do sleep 0.5; done"
        for replica in replicas:
            _docker("exec", replica, "timeout", str(READY_SECONDS), "bash", "-c", script)

    def run_schema_job(self) -> str:
        """Start the job's container again."""
        return _docker(
            "start", "--attach", Identity.physical_name(self._target.stack, "schema-job")
        )


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
        raise RefusedError(f"docker {' '.join(arguments[:3])}: {message[-1]}")
    return done.stdout
