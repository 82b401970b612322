"""Warm-up, load and faults: what lies between the plan of a run and its readback."""

# Locust patches the standard library for gevent when it is imported: before everything else.
import locust  # noqa: F401

# isort: split

import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import gevent  # type: ignore[import-untyped]

from workloads import CannotRunError
from workloads.checkers import availability, validity
from workloads.faults import schedule
from workloads.history import record
from workloads.history.history import HISTORY, History
from workloads.load import set_up
from workloads.load.ceiling import Ceiling
from workloads.load.fail_fast import FailFast
from workloads.load.generator import Generator
from workloads.observation import balancer
from workloads.observation.observers import Observers
from workloads.plan.plan import Load, Plan, Profile, Stage
from workloads.report.live import LiveView
from workloads.scenarios.resilience import ResilienceParameters
from workloads.scenarios.scenario import Level, Scenario
from workloads.target.target import Subject
from workloads.verdict import figures

USERS_LOG = "users.log"

USERS_EACH = 4
"""Users of a generator process. Answers come in bunches, as commits do, and cost the client 2 ms
each: of sixteen in one process the last would wait for the others."""

WAITING_EACH = 32
"""The same where most users only stand in for those that wait to try again."""

MOST_PROCESSES = 16

LONGER = 4
"""How many times its planned duration a load may take until it has enough steps."""

CHECK_S = 2.0

SETTLE_S = 1.0
"""Between the baseline and the first fault, so that calls of the baseline can end."""


def processes(scenario: Scenario, profile: Profile) -> int:
    """Return the number of generator processes on this machine."""
    if scenario.computes:
        return profile.users
    each = scenario.users_each or (WAITING_EACH if scenario.breaks else USERS_EACH)
    shared = min(MOST_PROCESSES, math.ceil(profile.users / each))
    return max(shared, min(profile.users, os.cpu_count() or 1))


def make_folder(folder: Path) -> None:
    """Make the folder of a run; raises `CannotRunError` if that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRunError(f"{folder}: {error.strerror}; name another with --results") from None


def load(
    subject: Subject,
    scenario: Scenario,
    plan: Plan,
    folder: Path,
    view: LiveView,
    watch: type[Observers] = Observers,
) -> None:
    """Warm up and load, and write the history; raises `CannotRunError` if it cannot go on."""
    make_folder(folder)
    writer = History(folder / HISTORY)
    writer.event("plan", plan=plan.model_dump(mode="json"))
    try:
        _load(scenario, plan, writer, folder, view, watch(subject, plan, writer))
    except KeyboardInterrupt:
        writer.event("interrupted")
        raise
    finally:
        writer.close()


def _load(
    scenario: Scenario,
    plan: Plan,
    writer: History,
    folder: Path,
    view: LiveView,
    observers: Observers,
) -> None:
    user_class = set_up.named(scenario.users)
    ceiling = None if plan.computes else Ceiling(plan)
    generator = Generator(user_class, plan, writer, folder / USERS_LOG)
    fail_fast = FailFast(folder / HISTORY, scenario, writer) if plan.fail_fast else None
    try:
        if ceiling:
            view.phase("measuring the generator", None)
            writer.event("ceiling", rate=round(ceiling.measure(), 1))
            ceiling.close()
        view.phase("starting", None)
        generator.connect()
        observers.start()
        spans: list[balancer.Span] = []
        for stage in scenario.stages(plan, lambda: _levels(folder / HISTORY)):
            span = _run_stage(stage, generator, plan, writer, folder / HISTORY, view, fail_fast)
            spans += [span] if span else []
            if fail_fast and fail_fast.over:
                break
        breaks = scenario.breaks and not (fail_fast and fail_fast.over)
        if breaks:  # processes that end from now on may have been killed by a fault
            observers.look_at_servers()
            _inject_faults(plan, generator, writer, folder / HISTORY, view)
        writer.event("phase", phase="finish")
        view.phase("finishing", None)
        generator.stop()
        observers.stop()
        if not breaks:
            observers.look_at_servers()
        observers.look_at_balancer(spans)
    except BaseException:
        generator.kill()
        observers.kill()
        if ceiling:
            ceiling.close()
        raise
    finally:
        if fail_fast:
            fail_fast.close()
        log = folder / USERS_LOG
        if log.exists() and not log.stat().st_size:
            log.unlink()


def _run_stage(
    stage: Stage,
    generator: Generator,
    plan: Plan,
    writer: History,
    path: Path,
    view: LiveView,
    fail_fast: FailFast | None,
) -> balancer.Span | None:
    """Run a stage; returns when its load was, None if it ended in the warm-up."""

    def is_over() -> bool:
        return bool(fail_fast and fail_fast.check()) or generator.ended()

    description = stage.model_dump(mode="json")
    generator.begin(stage)
    writer.event("phase", phase="warm-up", stage=description)
    _show_and_wait(is_over, generator, view, f"warm-up of {stage.name}", stage.warm_up_s)
    if stage.load is Load.CLOSED:
        # A cold client or server can take longer than planned for its first turns.
        patience = time.monotonic() + plan.profile.finish_s
        while not generator.is_warm(stage) and time.monotonic() < patience and not is_over():
            gevent.sleep(0.25)
            view.load(generator.master.stats, generator.sent())
    if fail_fast and fail_fast.over:
        return None
    begin = time.time()
    writer.event("phase", phase="load", stage=description)
    _show_and_wait(is_over, generator, view, f"load of {stage.name}", stage.load_s)
    if plan.computes:  # the rate of steps depends on this machine
        patience = time.monotonic() + (LONGER - 1) * stage.load_s
        while not is_over() and time.monotonic() < patience and not _enough(path):
            label = f"load of {stage.name}, until there are enough steps"
            _show_and_wait(is_over, generator, view, label, CHECK_S)
    if fail_fast:
        fail_fast.check(now=True)  # before another stage or a fault
    writer.event("phase", phase="between")
    end = time.time()
    if stage.load is Load.OPEN and not stage.goes_on:
        view.phase(f"after {stage.name}, until what was planned is done", None)
        generator.drain()
    return stage.name, begin, end


def _inject_faults(
    plan: Plan, generator: Generator, writer: History, path: Path, view: LiveView
) -> None:
    """Inject the faults of the plan while the load goes on."""
    times = ResilienceParameters.model_validate(plan.parameters)

    def await_recovery(name: str) -> None:
        """Wait until service is restored, as far as the time allows."""
        view.phase(f"after {name}, until service is restored", None)
        _wait(generator.ended, generator, view, times.recovery_s)
        end = time.monotonic() + times.patience_s - times.recovery_s
        while time.monotonic() < end and not generator.ended():
            began = time.monotonic()
            if availability.service_restored(path):
                return
            # A check costs CPU that the measured stack may need: a tenth of the time at most.
            pause = max(1, 9 * (time.monotonic() - began))
            _wait(generator.ended, generator, view, pause)

    def hold(name: str) -> None:
        _show_and_wait(generator.ended, generator, view, f"{name} in effect", times.fault_s)

    _show_and_wait(generator.ended, generator, view, "before the first fault", SETTLE_S)
    schedule.carry_out(
        plan.faults,
        plan.target,
        plan.seed,
        writer.event,
        hold=hold,
        rest=await_recovery,
        sleep=gevent.sleep,
    )


def _levels(path: Path) -> dict[int, Level]:
    """Return the closed stages so far, by number of users."""
    history = record.load(path)
    return {
        window.stage.users: Level(
            rate=figures.calls(history, window).rate,
            limited=validity.limited(history, window),
        )
        for window in history.windows
        if window.stage.load is Load.CLOSED
    }


def _enough(path: Path) -> bool:
    """Whether the stage under way has the calls and steps that its figures need."""
    history = record.load(path)
    return validity.samples(history, history.windows[-1]).passed is not False


def _show_and_wait(
    is_over: Callable[[], bool], generator: Generator, view: LiveView, phase: str, seconds: float
) -> None:
    view.phase(phase, seconds)
    _wait(is_over, generator, view, seconds)


def _wait(
    is_over: Callable[[], bool], generator: Generator, view: LiveView, seconds: float
) -> None:
    """Wait, or return when it is over."""
    end = time.monotonic() + seconds
    while (left_s := end - time.monotonic()) > 0 and not is_over():
        gevent.sleep(min(left_s, 0.25))
        view.load(generator.master.stats, generator.sent())
