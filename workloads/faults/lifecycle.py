"""One fault from its injection to its healing, with every step in the history."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from types import FrameType
from typing import Any

from workloads import error_summary
from workloads.faults.fault import FaultError, GivenUpError, Injection

TAKE_S = 15.0
"""Longest time until a fault is in effect."""

HEAL_S = 180.0
"""Longest time until it is healed: a replica that shares the processors starts in a minute."""

LOOK_S = 0.1


class State(StrEnum):
    """Where a fault is."""

    INJECTING = "injecting"
    IN_EFFECT = "in effect"
    HEALING = "healing"
    HEALED = "healed"
    FAILED = "failed"


OnState = Callable[[State, str | None], None]
"""Notes a state, with the reason of `failed`."""


def inject_and_heal(
    injection: Injection,
    hold: Callable[[], None],
    on_state: OnState,
    sleep: Callable[[float], None] = time.sleep,
    take_s: float = TAKE_S,
    heal_s: float = HEAL_S,
) -> None:
    """Inject, wait until it is in effect, `hold`, heal, wait until it is healed.

    It is healed on the way out, whatever happens; signals wait for that. Raises `FaultError` if
    it did not take or was not healed, and whatever `hold` raises.
    """
    on_state(State.INJECTING, None)
    try:
        try:
            injection.inject()
            _until(injection.in_effect, take_s, sleep, "it did not take")
        except FaultError:
            raise
        except Exception as error:
            raise FaultError(f"it did not take: {error_summary(error)}") from error
        on_state(State.IN_EFFECT, None)
        hold()
    except FaultError as error:
        on_state(State.FAILED, str(error))
        _heal(injection, on_state, sleep, heal_s)
        raise
    except BaseException:
        _heal(injection, on_state, sleep, heal_s)
        raise
    _heal(injection, on_state, sleep, heal_s)


def _heal(
    injection: Injection, on_state: OnState, sleep: Callable[[float], None], heal_s: float
) -> None:
    on_state(State.HEALING, None)
    try:
        with _signals_later():
            injection.heal()
        _until(injection.healed, injection.patience_s or heal_s, sleep, "it was not healed")
    except FaultError as error:
        on_state(State.FAILED, str(error))
        raise
    except Exception as error:
        reason = f"it was not healed: {error_summary(error)}"
        on_state(State.FAILED, reason)
        raise FaultError(reason) from error
    on_state(State.HEALED, None)


def _until(
    seen: Callable[[], bool], seconds: float, sleep: Callable[[float], None], otherwise: str
) -> None:
    """Look until it is seen; a look that fails tells nothing, as what it looks at may be ending.

    Raises `FaultError` when the time is over, or at once where a look says that it is in vain.
    """
    end = time.monotonic() + seconds
    while True:
        reason = ""
        try:
            if seen():
                return
        except GivenUpError:
            raise
        except Exception as error:
            reason = f": {error_summary(error)}"
        if time.monotonic() > end:
            raise FaultError(f"{otherwise} within {seconds:.0f} s{reason}")
        sleep(LOOK_S)


@contextmanager
def _signals_later() -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM until the block is done: half a healing leaves the fault in place."""
    came: list[tuple[int, FrameType | None]] = []
    kept: dict[signal.Signals, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        kept[number] = signal.signal(number, lambda sign, frame: came.append((sign, frame)))
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
        for sign, _ in came:
            signal.raise_signal(sign)
