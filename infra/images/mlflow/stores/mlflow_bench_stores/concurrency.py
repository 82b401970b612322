"""A limit on the requests that a worker serves at once, and on all else that uses the database.

Python runs one thread at a time, and forty that ask for it only take it from each other; so do
their transactions with the rows that they lock. And a request may need several connections, one
after another: a pool that is large enough for those within the limit never runs out.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from threading import BoundedSemaphore
from typing import Any

Serve = Callable[..., Any]
"""A WSGI application."""

Sessions = Callable[..., AbstractContextManager[Any]]
"""What a store's database sessions come from, its `ManagedSessionMaker`."""


class ConcurrencyLimit:
    """Lets at most so many threads in at once; it is reentrant within a request."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._slots = BoundedSemaphore(most)
        # Of a context, not of a thread: what a request has done by other threads is its own, too.
        self._has_slot = ContextVar("has_slot", default=False)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a slot, and release it at the end."""
        if self._has_slot.get() or _is_event_loop():
            yield
            return
        with self._slots:
            token = self._has_slot.set(True)
            try:
                yield
            finally:
                self._has_slot.reset(token)


def _is_event_loop() -> bool:
    """Whether this thread runs the event loop, which those with a slot need for their answers."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def limit_requests(serve: Serve, limit: ConcurrencyLimit) -> Serve:
    """Return the application with each request in a slot, but for artifacts.

    What waits for an artifact store that hangs must not keep the tracking API waiting.
    """

    def application(request: dict[str, Any], *rest: Any) -> Any:
        with nullcontext() if "artifacts" in request["PATH_INFO"] else limit.slot():
            return serve(request, *rest)

    return application


def limit_sessions(store: type[Any], limit: ConcurrencyLimit) -> None:
    """Have each database session of `store`, a class of MLflow's, wait for a slot.

    Some routes do not pass `limit_requests`: traces by OpenTelemetry, those of artifacts, and more.
    """
    make: Callable[..., None] = store.__init__

    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        self.ManagedSessionMaker = limited(self.ManagedSessionMaker, limit)

    store.__init__ = made


def limited(sessions: Sessions, limit: ConcurrencyLimit) -> Sessions:
    """Return `sessions`, each of which waits for a slot; its `without_slot` are those before."""

    @contextmanager
    def waiting(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with limit.slot(), sessions(*args, **kwargs) as session:
            yield session

    waiting.without_slot = sessions  # type: ignore[attr-defined]
    return waiting
