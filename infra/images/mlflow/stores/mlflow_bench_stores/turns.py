"""API requests beyond a few wait for their turn, and so does all else that uses the database.

Python runs one thread at a time, and forty that ask for it only take it from each other; so do
their transactions with the rows that they lock. And a request may need several connections, one
after another: a pool that is large enough for those who have a turn never runs out.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import BoundedSemaphore, local
from typing import Any

Serve = Callable[..., Any]
"""A WSGI application."""

Sessions = Callable[..., AbstractContextManager[Any]]
"""What a store's database sessions come from, its `ManagedSessionMaker`."""


class Turns:
    """Lets at most so many threads in at once; one that has its turn has it for all it does."""

    def __init__(self, most: int) -> None:
        self._free = BoundedSemaphore(most)
        self._own = local()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and give it back at the end."""
        if getattr(self._own, "held", False) or _is_event_loop():
            yield
            return
        with self._free:
            self._own.held = True
            try:
                yield
            finally:
                self._own.held = False


def _is_event_loop() -> bool:
    """Whether this thread runs the event loop, which those with a turn need for their answers."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def in_turn(serve: Serve, turns: Turns) -> Serve:
    """Return the application with each request in a turn, but for artifacts.

    What waits for an artifact store that hangs must not keep the tracking API waiting.
    """

    def application(request: dict[str, Any], *rest: Any) -> Any:
        with nullcontext() if "artifacts" in request["PATH_INFO"] else turns.turn():
            return serve(request, *rest)

    return application


def sessions_in_turn(store: type[Any], turns: Turns) -> None:
    """Have each database session of `store`, a class of MLflow's, wait for a turn.

    Some routes do not come by `in_turn`: traces by OpenTelemetry, those of artifacts, and more.
    """
    make: Callable[..., None] = store.__init__

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        sessions: Sessions = self.ManagedSessionMaker

        @contextmanager
        def session(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with turns.turn(), sessions(*args, **kwargs) as found:
                yield found

        self.ManagedSessionMaker = session

    store.__init__ = made
