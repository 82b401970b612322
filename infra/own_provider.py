"""Dynamic providers of this project: the state keeps how to find their code, not the code."""

import contextlib
import importlib
import os
import threading
import time
from typing import Any

import psutil
from pulumi import dynamic

MOVED = {"infra.docker.image_provider": "infra.image.resource"}
"""Modules by the names that older states have for them."""


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
    provider: OwnProvider = getattr(importlib.import_module(MOVED.get(module, module)), name)()
    return provider


def end_with_engine() -> None:
    """End this process, one of a dynamic provider, when the engine is gone.

    Pulumi ends it in an orderly end only; after a `kill -9` of the engine it would wait for ever.
    """
    engine = next((one for one in psutil.Process().parents() if one.name() == "pulumi"), None)
    if engine is not None:
        threading.Thread(target=_end_with, args=(engine,), daemon=True).start()


def _end_with(engine: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error):
        while engine.is_running() and engine.status() != psutil.STATUS_ZOMBIE:
            time.sleep(1)
    os._exit(0)
