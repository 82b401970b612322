"""What a person sees: one line per part, progress of long steps, and one line when it fails.

Without rich: it runs before any package is installed.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path

COULD_NOT_RUN = 2
INTERRUPTED = 130
"""Exit statuses; 130 is what a shell gives for Ctrl-C."""

CLEAR_LINE = "\r\033[K"

LINE_EVERY_S = 20.0
"""Pause between two progress lines where the output is not a terminal."""

_screen = threading.RLock()
_progress: dict[int, tuple[str, str]] = {}
"""Of each thread whose command is shown on a terminal: the part, and how far it is."""


class SetupError(Exception):
    """What stops the work, in one line: what, where, and what to do about it."""


class CommandError(SetupError):
    """A command did not succeed.

    Attributes:
        ending: how it ended, as `failed with status 1`.
        status: its exit status; None when it has none of its own.
    """

    def __init__(self, what: str, ending: str, more: str = "", status: int | None = None) -> None:
        super().__init__(f"{what} {ending}{more}")
        self.ending = ending
        self.status = status


class CancelledError(SetupError):
    """A part was cancelled because another failed or an interrupt came, which is what is said."""

    def __init__(self) -> None:
        super().__init__("cancelled")


class Cancellation:
    """Cancels parts that run side by side.

    Attributes:
        requests: how often that was asked for; 0 as long as they are to go on.
    """

    def __init__(self) -> None:
        self.requests = 0

    def request(self) -> None:
        """Cancel all parts; each further request interrupts their commands again."""
        self.requests += 1


CANCELLATION: ContextVar[Cancellation | None] = ContextVar("CANCELLATION", default=None)
"""Of the parts that the present thread is one of."""


def raise_if_cancelled() -> None:
    """Raise `CancelledError` where the present part is cancelled; for each round of a wait."""
    if _cancel_requests():
        raise CancelledError


def say(part: str, text: str) -> None:
    """Write one line about a part of the set-up to standard error."""
    with _screen:
        terminal = sys.stderr.isatty()
        _write(f"{CLEAR_LINE if terminal else ''}{part:<9} {text}\n")
        if terminal and _progress:
            _show_progress()


def elapsed(seconds: float) -> str:
    """Return a duration as a person reads it: `3.2 s`, `4 min 05 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def last_line(log: Path) -> str:
    """Return the last line of a log that is not blank, or an empty text."""
    lines = log.read_text(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def run(
    part: str,
    what: str,
    argv: Sequence[str | Path],
    *,
    log: Path | None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    grace_s: float = 10.0,
    detail: Callable[[Path], str] | None = None,
) -> float:
    """Run a command with its output in `log` and progress on standard error.

    Without a log, the command has the terminal, and nothing else is written meanwhile. It runs in
    its own process group: on an interrupt that gets SIGINT, and `grace_s` seconds to end by
    itself, then SIGKILL. `detail` turns the growing log into a few words of progress.

    Returns:
        the seconds that it took.

    Raises:
        CommandError: it ended with another status than 0, or not within `timeout` seconds.
    """
    started = time.monotonic()
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
    child: subprocess.Popen[bytes] | None = None
    try:
        # A thread of its own gets no interrupts: `parts.side_by_side` tells it to end.
        main = threading.current_thread() is threading.main_thread()
        deferred = interrupts_deferred() if main else nullcontext()
        with log.open("wb") if log else nullcontext() as output, deferred:
            try:
                child = subprocess.Popen(
                    [str(word) for word in argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT if log else None,
                    env=None if env is None else {**os.environ, **env},
                    cwd=cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise CommandError(what, f"cannot run {argv[0]}: {error.strerror}") from error
        tell = (lambda: detail(log) if detail else "") if log else None
        _watch(child, part, what, started, timeout, tell)
    except BaseException:
        if child:
            _stop(child, grace_s)
        raise
    if child.returncode:
        status = child.returncode
        ending = f"failed with status {status}" if status > 0 else f"was ended by signal {-status}"
        more = f": {last_line(log)} (log: {log})" if log else ""
        raise CommandError(what, ending, more, status if status > 0 else None)
    return time.monotonic() - started


def report(part: str, work: Callable[[], object]) -> int:
    """Do some work; turn a failure or an interrupt into one line and an exit status."""
    interrupt_on_termination()
    try:
        work()
    except SetupError as error:
        say(part, f"cannot go on: {error}")
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        say(part, "interrupted; run it again to go on")
        return INTERRUPTED
    return 0


def interrupt_on_termination() -> None:
    """Treat SIGTERM and SIGHUP like Ctrl-C, so that what was begun is cleaned up."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


@contextmanager
def second_interrupt_only(part: str) -> Iterator[None]:
    """Let only the second interrupt from here on stop what is being done."""
    interrupts = 0

    def interrupt(_signal: int, _frame: object) -> None:
        nonlocal interrupts
        interrupts += 1
        if interrupts > 1:
            raise KeyboardInterrupt
        say(part, "is being removed; interrupt once more to leave it as it is")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    former = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, former, strict=True):
            signal.signal(number, handler)


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Keep interrupts until the block is done: a child that it starts is known then, to be ended.

    The child begins with SIGINT at its default, also where this process ignores it, as what a
    shell puts into the background does. The engine ends its own children by SIGINT, and would wait
    for each in vain: 5 s more for every `up`.
    """
    came: list[int] = []
    former = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:
            former[number] = signal.signal(number, lambda sign, _: came.append(sign))
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        for sign in came:
            signal.raise_signal(sign)


def _watch(
    child: subprocess.Popen[bytes],
    part: str,
    what: str,
    started: float,
    timeout: float | None,
    detail: Callable[[], str] | None,
) -> None:
    """Wait for a child; tell of its progress where there is a `detail` to tell."""
    terminal = sys.stderr.isatty() and detail is not None
    pause = 1.0 if terminal else LINE_EVERY_S
    due = started + pause
    try:
        while child.poll() is None:
            time.sleep(0.05)
            raise_if_cancelled()
            now = time.monotonic()
            if timeout is not None and now - started > timeout:
                raise CommandError(what, f"did not end within {elapsed(timeout)}")
            if detail and now >= due:
                text = ", ".join(filter(None, (what, detail(), elapsed(now - started))))
                with _screen:
                    if terminal:
                        _progress[threading.get_ident()] = (part, text)
                        _show_progress()
                    else:
                        _write(f"{part:<9} {text}\n")
                due = now + pause
    finally:
        with _screen:
            if _progress.pop(threading.get_ident(), None):
                _show_progress()


def _show_progress() -> None:
    """Show on one line of a terminal what is under way, of each part as much as has room."""
    room = shutil.get_terminal_size().columns - 1
    each = max(1, (room + 3) // max(1, len(_progress)) - 3)
    lines = (f"{part:<9} {text}"[:each] for part, text in _progress.values())
    _write(CLEAR_LINE + " | ".join(lines)[:room])


def _stop(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """Interrupt a child's process group, again with each further interrupt; kill what is left."""
    deadline = time.monotonic() + grace_s
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        while True:
            requests = _cancel_requests()
            try:
                os.killpg(child.pid, signal.SIGINT)
                while child.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
                    if _cancel_requests() != requests:
                        break
                else:
                    break
            except KeyboardInterrupt:
                continue
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(grace_s)


def _cancel_requests() -> int:
    cancellation = CANCELLATION.get()
    return cancellation.requests if cancellation else 0


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
