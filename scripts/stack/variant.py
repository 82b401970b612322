"""A stack as its file has it, or with another release of MLflow: `multi-az@3.16.1`.

Without packages of others: the command line is read before they are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from infra import releases

ALL = "all"


@dataclass(frozen=True)
class Variant:
    """A stack by its name, and the release in place of the one that its file names, if any."""

    stack: str
    release: str | None = None

    def __str__(self) -> str:
        """Return it as it is written on a command line."""
        return self.stack if self.release is None else f"{self.stack}@{self.release}"


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


def expanded(text: str) -> list[str]:
    """Return such texts, of which one that ends with `@all` stands for all releases."""
    stack, _, release = text.partition("@")
    return [f"{stack}@{each}" for each in releases.supported()] if release == ALL else [text]


def of(text: str) -> Variant:
    """Return the variant of a text that `read` took before."""
    stack, _, release = text.partition("@")
    return Variant(stack, release or None)


def name(text: str) -> str:
    """Return the name of the stack in such a text."""
    return of(text).stack
