"""Dynamic providers of this project: the state keeps how to find their code, not the code."""

import importlib
from typing import Any

from pulumi import dynamic

from infra.docker.guard import end_with_engine


class OwnProvider(dynamic.ResourceProvider):
    """A dynamic provider that is a class of a module of this project."""

    serialize_as_secret_always = False

    def __reduce__(self) -> tuple[Any, ...]:
        # Its process starts in infra/, where `infra` cannot be imported.
        place = f"{type(self).__module__!r}, {type(self).__name__!r}"
        return (
            eval,
            (
                "__import__('sys').path.__setitem__(0, __import__('os').path.abspath('..'))"
                f" or __import__({__name__!r}, fromlist=['_']).load({place})",
            ),
        )


def load(module: str, name: str) -> OwnProvider:
    """Return a provider in its own process."""
    end_with_engine()
    provider: OwnProvider = getattr(importlib.import_module(module), name)()
    return provider
