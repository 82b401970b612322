"""Which faults a run has, in which order, and on what; and doing them one after another."""

import random
from collections.abc import Callable
from typing import Any

from infra.outputs import Component, Target
from workloads import CannotRunError
from workloads.faults.catalogue import CHANGES, FAULTS, NOOP, named
from workloads.faults.fault import Fault, FaultError
from workloads.faults.lifecycle import State, inject_and_heal

ALL = "all"
RANDOM = "random"


def selected(selection: str, target: Target | None, seed: int, count: int) -> tuple[str, ...]:
    """Return the faults that `--fault` names: by name with commas between, `all`, or `random`.

    `random` draws `count` of those that the stack can have, by the seed. Raises `CannotRunError`
    for a fault that is not known, or that the stack cannot have.
    """
    able = [name for name, fault in FAULTS.items() if why_not(fault, target) is None]
    breaking = [name for name in able if name != NOOP]
    if selection in (ALL, RANDOM):
        if not breaking:
            raise CannotRunError(f"--fault {selection}: nothing can be broken there; give noop")
        if selection == ALL:
            return tuple(breaking)
        draw = random.Random(seed)  # noqa: S311 - repeatable
        return tuple(draw.choice(breaking) for _ in range(count))
    names = tuple(selection.split(","))
    for name in names:
        if name not in FAULTS and name not in CHANGES:
            raise CannotRunError(
                f"--fault {name!r}: there are {', '.join(FAULTS)}, {ALL} and {RANDOM}"
            )
        if (reason := why_not(named(name), target)) is not None:
            raise CannotRunError(f"--fault {name}: {reason}; it can have {', '.join(able)}")
    return names


def why_not(fault: Fault, target: Target | None) -> str | None:
    """Why a fault cannot be had; None: it can. Of an address without a stack, only `noop`."""
    if target is None:
        return None if fault.name == NOOP else "it takes a stack of this machine (--stack)"
    return fault.unavailable(target)


def pick_component(fault: Fault, target: Target | None, seed: int, number: int) -> Component | None:
    """Return the component that the fault with this number hits, drawn by the seed."""
    among = fault.candidates(target) if target else []
    draw = random.Random(f"{seed}/{number}/{fault.name}")  # noqa: S311 - repeatable
    return draw.choice(among) if among else None


def carry_out(
    names: tuple[str, ...],
    target: Target | None,
    seed: int,
    event: Callable[..., Any],
    hold: Callable[[str], None],
    rest: Callable[[str], None],
    sleep: Callable[[float], None],
) -> None:
    """Do the faults; `hold` waits while one is in effect, `rest` after it is healed.

    `event` writes a line of the history. The first one that fails ends the schedule: what comes
    after it would be judged on a stack that is not as it was.
    """
    for number, name in enumerate(names):
        fault = named(name)
        component = pick_component(fault, target, seed, number)
        known = {"fault": name, "component": component.name if component else None}

        def on_state(state: State, why: str | None, known: dict[str, Any] = known) -> None:
            event("fault", **known, state=state.value, **({"why": why} if why else {}))

        try:
            make = (
                next(iter(fault.make.values())) if target is None else fault.make[target.platform]
            )
            injection = make(target, component)  # type: ignore[arg-type]
        except Exception as error:
            on_state(State.FAILED, str(error))
            return
        try:
            inject_and_heal(injection, lambda name=name: hold(name), on_state, sleep)  # type: ignore[misc]
        except FaultError:
            return
        rest(name)
