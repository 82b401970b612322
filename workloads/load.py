"""Warm-up and load: what comes between deciding on a run and reading back."""

# Locust patches the standard library for gevent when it is imported: before everything else.
import locust  # noqa: F401, I001

import math
import os
import time
from pathlib import Path

import gevent  # type: ignore[import-untyped]

from workloads import figures, record, set_up
from workloads.ceiling import Ceiling
from workloads.checkers import availability
from workloads.errors import CannotRunError
from workloads.faults import schedule
from workloads.generator import Generator
from workloads.history import HISTORY, History
from workloads.observation import balancer
from workloads.observation.beside import Beside
from workloads.plan import Load, Plan, Profile, Stage
from workloads.report.live import LiveView
from workloads.scenarios.resilience import ResilienceParameters
from workloads.scenarios.scenario import Scenario
from workloads.target import Subject

USERS_LOG = "users.log"

USERS_EACH = 4
"""Users of a generator process, up to the most processes. Answers come in bunches, as commits
do; each costs the client 2 ms, and in one process the last of sixteen would wait for the others."""

WAITING_EACH = 32
"""The same where most users are there only for the time in which others wait to try again: a call
that is due is taken by a free user of its own process."""

MOST_PROCESSES = 16

SETTLE_S = 1.0
"""Between the figures before a fault and the fault: calls of theirs are not struck by it."""


def processes(scenario: Scenario, profile: Profile) -> int:
    """Return how many processes the generator has on this machine."""
    if scenario.computes:
        return profile.users
    each = WAITING_EACH if scenario.breaks else USERS_EACH
    shared = min(MOST_PROCESSES, math.ceil(profile.users / each))
    return max(shared, min(profile.users, os.cpu_count() or 1))


def make(folder: Path) -> None:
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
    watch: type[Beside] = Beside,
) -> None:
    """Warm up and load; leaves the history. Raises `CannotRunError` if it cannot go on."""
    make(folder)
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
    beside: Beside,
) -> None:
    user_class = set_up.named(scenario.users)
    ceiling = None if plan.computes else Ceiling(plan)
    generator = Generator(user_class, plan, writer, folder / USERS_LOG)
    try:
        if ceiling:
            view.phase("measuring the generator", None)
            writer.event("ceiling", rate=round(ceiling.measure(), 1))
            ceiling.close()
        view.phase("starting", None)
        generator.connect()
        beside.start()
        spans = [
            _run_stage(stage, generator, plan, writer, view)
            for stage in scenario.stages(plan, lambda: _rates(folder / HISTORY))
        ]
        if scenario.breaks:  # which processes ended without a fault is known by now
            beside.look_at_servers()
            _break(plan, generator, writer, folder / HISTORY, view)
        writer.event("phase", phase="finish")
        view.phase("finishing", None)
        generator.stop()
        beside.stop()
        if not scenario.breaks:
            beside.look_at_servers()
        beside.look_at_balancer(spans)
    except BaseException:
        generator.kill()
        beside.kill()
        if ceiling:
            ceiling.close()
        raise
    finally:
        log = folder / USERS_LOG
        if log.exists() and not log.stat().st_size:
            log.unlink()


def _run_stage(
    stage: Stage, generator: Generator, plan: Plan, writer: History, view: LiveView
) -> balancer.Span:
    known = stage.model_dump(mode="json")
    generator.begin(stage)
    writer.event("phase", phase="warm-up", stage=known)
    _wait(generator, view, f"warm-up of {stage.name}", stage.warm_up_s)
    if stage.load is Load.CLOSED:
        # A cold client or server can take longer than planned for its first round.
        patience = time.monotonic() + plan.profile.finish_s
        while not generator.warm(stage) and time.monotonic() < patience and not generator.ended():
            gevent.sleep(0.25)
            view.load(generator.master.stats)
    begin = time.time()
    writer.event("phase", phase="load", stage=known)
    _wait(generator, view, f"load of {stage.name}", stage.load_s)
    writer.event("phase", phase="between")
    return stage.name, begin, time.time()


def _break(plan: Plan, generator: Generator, writer: History, path: Path, view: LiveView) -> None:
    """Do the faults of the plan while the load goes on."""
    times = ResilienceParameters.model_validate(plan.parameters)

    def rest(name: str) -> None:
        """Wait until all is as before: what a fixed time would leave open, a longer one answers."""
        view.phase(f"after {name}, until all is as before", None)
        _pass(generator, view, times.recovery_s)
        end = time.monotonic() + times.patience_s - times.recovery_s
        while time.monotonic() < end and not generator.ended():
            began = time.monotonic()
            if availability.as_before(path):
                return
            # Looking costs a processor that the measured stack may need: a tenth of it at most.
            _pass(generator, view, max(1, 9 * (time.monotonic() - began)))

    _wait(generator, view, "before the first fault", SETTLE_S)
    schedule.carry_out(
        plan.faults,
        plan.target,
        plan.seed,
        writer.event,
        hold=lambda name: _wait(generator, view, f"{name} in effect", times.fault_s),
        rest=rest,
        sleep=gevent.sleep,
    )


def _rates(path: Path) -> dict[int, float]:
    """Calls/s by number of users of the closed stages so far."""
    taken = record.load(path)
    return {
        window.stage.users: figures.calls(taken, window).rate
        for window in taken.windows
        if window.stage.load is Load.CLOSED
    }


def _wait(generator: Generator, view: LiveView, phase: str, seconds: float) -> None:
    view.phase(phase, seconds)
    _pass(generator, view, seconds)


def _pass(generator: Generator, view: LiveView, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not generator.ended():
        gevent.sleep(min(left, 0.25))
        view.load(generator.master.stats)
