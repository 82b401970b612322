"""What Docker still has of a deployment whose engine is gone."""

from collections.abc import Iterator

from infra.labels import LABEL_DEPLOYMENT
from scripts.shared import machine, ui

KINDS = {
    "container": (["docker", "ps", "-a"], ["docker", "rm", "-f", "-v"]),
    "network": (["docker", "network", "ls"], ["docker", "network", "rm"]),
    "volume": (["docker", "volume", "ls"], ["docker", "volume", "rm", "-f"]),
}
"""Commands that list and remove what a stack makes; in an order in which removing works."""


def remove_labelled(deployments: frozenset[str]) -> Iterator[str]:
    """Remove all that Docker still has of some deployments, and name each thing removed."""
    for deployment in sorted(deployments):
        for kind, (list_command, remove_command) in KINDS.items():
            form = "{{.Names}}" if kind == "container" else "{{.Name}}"
            argv = [
                *list_command,
                "--format",
                form,
                "--filter",
                f"label={LABEL_DEPLOYMENT}={deployment}",
            ]
            for name in (machine.output(argv, timeout=60) or "").split():
                if machine.output([*remove_command, name], timeout=120) is None:
                    raise ui.SetupError(
                        f"{kind} {name} could not be removed: {' '.join(remove_command)} {name}"
                    )
                yield f"{kind} {name}"
