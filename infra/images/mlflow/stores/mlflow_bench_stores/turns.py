"""API requests beyond a few wait for their turn.

Python runs one thread at a time, and forty that ask for it only take it from each other; so do
their transactions with the rows that they lock.
"""

from collections.abc import Callable
from contextlib import nullcontext
from threading import BoundedSemaphore
from typing import Any

Serve = Callable[..., Any]
"""A WSGI application."""


def in_turn(serve: Serve, most: int) -> Serve:
    """Return the application with at most so many requests in it at once, but for artifacts.

    What waits for an artifact store that hangs must not keep the tracking API waiting.
    """
    turns = BoundedSemaphore(most)

    def application(request: dict[str, Any], *rest: Any) -> Any:
        with nullcontext() if "artifacts" in request["PATH_INFO"] else turns:
            return serve(request, *rest)

    return application
