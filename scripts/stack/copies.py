"""Deploying a stack by a copy of its file; the stack's own stays as it is."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from scripts.shared.project import PROJECT
from scripts.stack import files, updates
from scripts.stack.checkout import Checkout
from scripts.stack.variant import Variant


def up(variant: Variant) -> float:
    """Deploy a stack, with its release where it has one; returns and raises as `updates.up`."""
    if variant.release is None:
        return updates.up(variant.stack)
    with copied(variant.stack) as copy:
        configure(copy, {"mlflow": variant.release})
        return updates.up(variant.stack, config_file=str(copy))


@contextmanager
def copied(stack: str) -> Iterator[Path]:
    """Give a copy of a stack's file, to be changed and deployed."""
    # Pulumi writes the salt of the stack's secrets into its own file when it makes the stack.
    Checkout().create_stack(stack)
    with tempfile.TemporaryDirectory() as folder:
        own = files.path_of(stack)
        copy = Path(folder) / own.name
        copy.write_text(own.read_text())
        yield copy


def configure(copy: Path, values: Mapping[str, Any]) -> None:
    """Set keys of the project in a stack file that is not the stack's own."""
    # By hand: the Automation API writes the stack's own file only.
    content = yaml.safe_load(copy.read_text()) or {}
    keys = {f"{PROJECT}:{key}": value for key, value in values.items()}
    content["config"] = (content.get("config") or {}) | keys
    copy.write_text(yaml.safe_dump(content))
