"""The stack files of `stacks/`, and what commands take from them."""

from pathlib import Path
from typing import Any

from scripts.shared import ui
from scripts.shared.project import PROJECT, ROOT


def paths() -> list[Path]:
    """Return every stack file."""
    return sorted((ROOT / "stacks").glob("Pulumi.*.yaml"))


def names() -> list[str]:
    """Return the names of the stacks that have a file."""
    return [path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in paths()]


def path_of(stack: str) -> Path:
    """Return the file of a stack, which need not exist."""
    return ROOT / "stacks" / f"Pulumi.{stack}.yaml"


def config(stack: str) -> dict[str, Any]:
    """Return the project's own keys of a stack's file, as `port`.

    Raises:
        ui.SetupError: the file cannot be read, or nothing was set up here yet.
    """
    try:
        from infra import stack_file  # It needs PyYAML, which the doctor may have to do without.
    except ImportError:
        raise ui.SetupError(
            f"{path_of(stack)}: cannot be read yet: run scripts/setup first"
        ) from None
    prefix = f"{PROJECT}:"
    try:
        values = stack_file.read(path_of(stack))
    except stack_file.StackFileError as error:
        raise ui.SetupError(str(error)) from None
    return {k.removeprefix(prefix): values[k] for k in values if k.startswith(prefix)}


def port(stack: str) -> int | None:
    """Return the port of a stack; None where its file has none, or no number."""
    value = str(config(stack).get("port", ""))
    return int(value) if value.isascii() and value.isdigit() else None


def context(stack: str) -> str | None:
    """Return the kubeconfig context that a stack goes to; None for one on Docker."""
    cluster = config(stack).get("kubernetes")
    name = cluster.get("context") if isinstance(cluster, dict) else None
    return name if isinstance(name, str) else None
