"""A stack on Docker, as a backup reaches its containers."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import IO

from docker.api import APIClient
from docker.errors import DockerException, NotFound

from infra.docker.identity import Identity
from infra.image.engine import connect
from infra.labels import LABEL_COMPONENT, LABEL_DEPLOYMENT, LABEL_STACK
from infra.outputs import Component, Target
from infra.specification.error import SpecError
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

    def alone(
        self, name: str, component: Component, command: Callable[[Sequence[str]], list[str]]
    ) -> str:
        """Run a command in a new container with all that the component's has but its ports."""
        container = Identity.physical_name(self._target.stack, name)
        try:
            with closing(connect()) as client:
                _create_alike(client.api, container, name, component.container, command)
        except SpecError as error:
            raise RefusedError(str(error)) from None
        except DockerException as error:
            reason = getattr(error, "explanation", None) or error
            raise RefusedError(f"{container}: {reason}") from None
        try:
            return _docker("start", "--attach", container)
        finally:
            _docker("rm", "--force", container)

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

    def schema_job_log(self) -> str:
        """Read the log of the job's container."""
        return _docker("logs", Identity.physical_name(self._target.stack, "schema-job"))


def _create_alike(
    api: APIClient,
    name: str,
    label: str,
    model: str,
    command: Callable[[Sequence[str]], list[str]],
) -> None:
    """Create a container that is as `model` is, with another command and without ports.

    One of this name that has ended, as of a command that was killed, is removed.
    """
    with suppress(NotFound):
        if api.inspect_container(name)["State"]["Running"]:
            raise RefusedError(f"{name} is at work already: wait for it")
        api.remove_container(name)
    known = api.inspect_container(model)
    own, host = known["Config"], known["HostConfig"]
    networks = list(known["NetworkSettings"]["Networks"])
    kept = ("Image", "Env", "Entrypoint", "User", "WorkingDir", "StopTimeout")
    deployment = {key: own["Labels"][key] for key in (LABEL_STACK, LABEL_DEPLOYMENT)}
    api.create_container_from_config(  # type: ignore[no-untyped-call]
        {
            **{key: own.get(key) for key in kept},
            "Cmd": command(own["Cmd"]),
            "Labels": {**deployment, LABEL_COMPONENT: label},
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {**host, "PortBindings": {}, "RestartPolicy": {"Name": "no"}},
            # Older engines take one network only when a container is created.
            "NetworkingConfig": {"EndpointsConfig": {networks[0]: {}}},
        },
        name=name,
    )
    for network in networks[1:]:
        api.connect_container_to_network(name, network)


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
        raise RefusedError(f"docker {' '.join(arguments[:3])}: {message[-1]}")
    return done.stdout
