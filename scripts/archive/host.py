"""What commands on a stack need of the place that it runs in, beside its stores."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import IO, Protocol

from infra.outputs import Component, Platform, Target
from scripts.archive.on_docker import OnDocker
from scripts.archive.on_kubernetes import OnKubernetes


class Host(Protocol):
    """Docker or Kubernetes; all raise `RefusedError` with its own words."""

    def run(
        self,
        component: Component,
        *command: str,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> str:
        """Run a command beside a component; return its output, unless that goes to `stdout`."""

    def alone(
        self, name: str, component: Component, command: Callable[[Sequence[str]], list[str]]
    ) -> str:
        """Run a command in a container or pod of its own, as the component's is; return its output.

        It is removed at the end. `name` is that of the new one; `command` makes the command of the
        component's.
        """

    def standing_still(self) -> AbstractContextManager[None]:
        """Stop the replicas; start them again whatever happened, and wait until they are ready."""

    def run_schema_job(self) -> str:
        """Let the stack's schema job look at the database once more; return what it says."""

    def schema_job_log(self) -> str:
        """Return what the stack's schema job printed in its last deployment."""


def host_of(target: Target) -> Host:
    """Return the place that a stack runs in."""
    return OnDocker(target) if target.platform is Platform.DOCKER else OnKubernetes(target)
