"""Parts of the set-up side by side: what does not wait for another part does not wait."""

import contextvars
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from scripts.shared import ui

T = TypeVar("T")

MOST = 16
"""More than there are, as each has a thread of its own, in which it also waits for others."""


class Parts:
    """Parts that have begun.

    Attributes:
        failures: what stopped the parts that did not just follow another one, in that order.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.failures: list[BaseException] = []
        self._pool = pool
        self._cancellation = ui.Cancellation()
        self._begun: list[Future[Any]] = []

    def start(self, part: str, work: Callable[[], T]) -> Future[T]:
        """Begin a part; in `work`, `result()` of another one waits for it, or fails with it."""

        def guarded() -> T:
            ui.CANCELLATION.set(self._cancellation)
            try:
                ui.raise_if_cancelled()
                return work()
            except ui.SetupError as error:
                if self._cancellation.requests:
                    raise ui.CancelledError from error
                failure = ui.SetupError(f"{part}: {error}")
                self.fail(failure)
                raise failure from error
            except BaseException as error:
                self.fail(error)
                raise

        # In a context of its own: the thread serves other parts, too.
        future = self._pool.submit(contextvars.copy_context().run, guarded)
        self._begun.append(future)
        return future

    def fail(self, error: BaseException) -> None:
        """Keep an error, and have all parts end."""
        self.failures.append(error)
        self._cancellation.request()

    def wait(self) -> None:
        """Wait until every part has ended: by itself, or because one failed."""
        wait(self._begun)

    def cancel(self, error: BaseException) -> None:
        """Have every part end, and wait for it; a further interrupt is passed on to them."""
        while True:
            self.fail(error)
            try:
                return self.wait()
            except KeyboardInterrupt as another:
                error = another


@contextmanager
def side_by_side() -> Iterator[Parts]:
    """Run the parts that are started in the block, each in a thread; return when all have ended.

    When one fails or an interrupt comes, the commands of the others are ended, too.

    Raises:
        ui.SetupError: what stopped the first part that failed, with its name.
        KeyboardInterrupt: an interrupt came.
    """
    with ThreadPoolExecutor(MOST) as pool, _interruptible():
        parts = Parts(pool)
        try:
            yield parts
            parts.wait()
        except BaseException as error:
            parts.cancel(error)
            raise
    if parts.failures:
        raise parts.failures[0]


@contextmanager
def _interruptible() -> Iterator[None]:
    """Have commands that threads start begin with SIGINT at its default; see `ui.run`."""
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        if ignored:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
