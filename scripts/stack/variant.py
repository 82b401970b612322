"""A stack as its file has it, or with another release of MLflow: `multi-az@3.16.1`."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra import releases
from scripts.shared.project import PROJECT
from scripts.stack import files, updates
from scripts.stack.checkout import Checkout


@dataclass(frozen=True)
class Variant:
    """A stack by its name, and the release in place of the one that its file names, if any."""

    stack: str
    release: str | None = None

    def __str__(self) -> str:
        """Return it as it is written on a command line."""
        return self.stack if self.release is None else f"{self.stack}@{self.release}"

    def up(self) -> float:
        """Deploy it; returns and raises as `updates.up` does."""
        if self.release is None:
            return updates.up(self.stack)
        with copied(self.stack) as copy:
            configure(copy, {"mlflow": self.release})
            return updates.up(self.stack, config_file=str(copy))


def read(text: str, known: Sequence[str]) -> Variant:
    """Return the variant of a text of the command line; `known` are the names of stacks.

    Raises ValueError, with the reason in one line.
    """
    stack, at, release = text.partition("@")
    if stack not in known:
        raise ValueError(f"no stack {stack} in stacks/; there is: {', '.join(known) or 'none'}")
    if not at:
        return Variant(stack)
    try:
        return Variant(stack, releases.checked(release))
    except ValueError as error:
        raise ValueError(f"{text}: {release or 'what is after @'} {error}") from None


def of(text: str) -> Variant:
    """Return the variant of a text that `read` took before."""
    stack, _, release = text.partition("@")
    return Variant(stack, release or None)


def name(text: str) -> str:
    """Return the name of the stack in such a text."""
    return of(text).stack


@contextmanager
def copied(stack: str) -> Iterator[Path]:
    """Give a copy of a stack's file, to be changed and deployed; the stack's own stays as it is."""
    # Pulumi writes the salt of the stack's secrets into its own file when it makes the stack.
    Checkout().create_stack(stack)
    with tempfile.TemporaryDirectory() as folder:
        own = files.path_of(stack)
        copy = Path(folder) / own.name
        copy.write_text(own.read_text())
        yield copy


def configure(copy: Path, values: Mapping[str, Any]) -> None:
    """Set keys of the project in a stack file that is not the stack's own."""
    import yaml  # The command line is read before any package is there.

    # By hand: the Automation API writes the stack's own file only.
    content = yaml.safe_load(copy.read_text()) or {}
    keys = {f"{PROJECT}:{key}": value for key, value in values.items()}
    content["config"] = (content.get("config") or {}) | keys
    copy.write_text(yaml.safe_dump(content))
