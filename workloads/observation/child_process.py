"""A child process that observes or probes, started and ended by the run."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

import gevent  # type: ignore[import-untyped]


class ChildProcess:
    """Forked in the constructor, before anything runs on the event loop; `main` runs from `start`.

    `main` runs until this process ends it. It gets a function that is false once this process has
    ended.
    """

    def __init__(self, main: Callable[[Callable[[], bool]], None]) -> None:
        ready, self._go = os.pipe()
        self._pid = self._fork(main, ready)
        os.close(ready)

    def start(self) -> None:
        """Start `main`."""
        os.write(self._go, b"\n")

    def stop(self) -> None:
        """End it; what it was writing is written."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        self._end(signal.SIGKILL)

    def _end(self, sign: signal.Signals) -> None:
        if self._pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self._pid, sign)
        os.waitpid(self._pid, 0)
        self._pid = None
        os.close(self._go)

    def _fork(self, main: Callable[[Callable[[], bool]], None], ready: int) -> int | None:
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(self._go)
            gevent.sleep(0.01)  # gevent closes when its loop comes round
            if os.read(ready, 1):
                main(lambda: os.getppid() == parent)
        finally:
            os._exit(0)
