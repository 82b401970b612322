"""One run: warm-up, load, reading back, judging, report; every phase is marked in the history."""

# Locust patches the standard library for gevent when it is imported: before everything else.
import locust  # noqa: F401, I001

import math
import os
import secrets
import signal
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import gevent  # type: ignore[import-untyped]
from docker.errors import DockerException
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from infra.outputs import Target
from workloads import environment, figures, history, readback, record, servers, set_up
from workloads.ceiling import Ceiling
from workloads.checkers import availability
from workloads.errors import CannotRunError, summary
from workloads.generator import Generator
from workloads.faults import schedule
from workloads.history import History
from workloads.judge import HISTORY, READBACK, conclude
from workloads.observation import balancer
from workloads.observation.forked import Forked
from workloads.observation.observer import Observer
from workloads.observation.probe import Probe
from workloads.plan import Load, Objectives, Plan, Profile, Stage
from workloads.pods import ClusterError
from workloads.reconcile import reconcile
from workloads.report.live import LiveView
from workloads.result import Result
from workloads.scenarios.resilience import ResilienceParameters
from workloads.scenarios.scenario import Parameters, Scenario
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


@dataclass(frozen=True)
class Wanted:
    """What a person asked for."""

    scenario: Scenario
    profile_name: str
    profile: Profile
    parameters: Parameters
    seed: int
    faults: tuple[str, ...] = ()
    reconcile: bool = False
    """Whether doubles are removed before everything is read back."""


def run(subject: Subject, wanted: Wanted, folder: Path) -> Result:
    """Run a scenario against a tracking server and leave everything in `folder`.

    `workloads.settings.configure` comes first, before this module is imported. Raises
    `CannotRunError` if it cannot go on, and `KeyboardInterrupt` when interrupted; what was
    written until then is kept.
    """
    plan = decide(subject, wanted)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    hub = gevent.get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)  # else gevent prints it as well
    try:
        with LiveView(plan) as view:
            if wanted.scenario.set_up:
                plan = set_up.run(wanted.scenario.set_up, plan, view)
            load(subject, wanted.scenario, plan, folder, view)
            if wanted.reconcile:
                remove_doubles(plan, folder, view)
            read_back(subject, plan, folder, view)
        return conclude(folder)
    finally:
        signal.signal(signal.SIGTERM, previous)


def decide(subject: Subject, wanted: Wanted) -> Plan:
    """Fix everything that the run depends on, and make its experiment.

    Raises `CannotRunError` if the server does not answer or takes no experiment.
    """
    scenario, profile = wanted.scenario, wanted.profile
    aims = scenario.objectives[wanted.profile_name].model_dump() | (subject.objectives or {})
    each = WAITING_EACH if scenario.breaks else USERS_EACH
    shared = min(MOST_PROCESSES, math.ceil(profile.users / each))
    shared = max(shared, min(profile.users, os.cpu_count() or 1))
    return Plan(
        scenario=scenario.name,
        profile_name=wanted.profile_name,
        profile=profile,
        parameters=wanted.parameters.model_dump(),
        objectives=Objectives.model_validate(aims),
        seed=wanted.seed,
        faults=wanted.faults,
        subject=subject.name,
        tracking_uri=subject.tracking_uri,
        target=subject.target,
        processes=profile.users if scenario.computes else shared,
        computes=scenario.computes,
        environment=environment.describe(subject.tracking_uri, subject.target),
        experiment_id=_experiment(subject.tracking_uri, scenario.name),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def load(subject: Subject, scenario: Scenario, plan: Plan, folder: Path, view: LiveView) -> None:
    """Warm up and load; leaves the history. Raises `CannotRunError` if it cannot go on."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRunError(f"{folder}: {error.strerror}; name another with --results") from None
    writer = History(folder / HISTORY)
    writer.event("plan", plan=plan.model_dump(mode="json"))
    try:
        _load(subject, scenario, plan, writer, folder, view)
    except KeyboardInterrupt:
        writer.event("interrupted")
        raise
    finally:
        writer.close()


def remove_doubles(plan: Plan, folder: Path, view: LiveView) -> None:
    """Delete what the client's own retries created again, and write down what was deleted.

    Raises `CannotRunError` if the server refuses.
    """
    view.phase("removing doubles", None)
    operations = history.operations(folder / HISTORY)
    try:
        removed = reconcile(plan.tracking_uri, plan.experiment_id, operations)
    except MlflowException as error:
        raise CannotRunError(f"doubles were not removed: {summary(error)}") from None
    writer = History(folder / HISTORY)
    for double in removed:
        writer.event("reconciled", **asdict(double))
    writer.close()


def read_back(subject: Subject, plan: Plan, folder: Path, view: LiveView) -> None:
    """Read back what the history speaks of; not load, and in no figure."""
    view.phase("reading back", None)
    operations = history.operations(folder / HISTORY)
    readback.read_back(subject, plan.experiment_id, operations, folder / READBACK, view.progress)


def _load(
    subject: Subject,
    scenario: Scenario,
    plan: Plan,
    writer: History,
    folder: Path,
    view: LiveView,
) -> None:
    user_class = set_up.named(scenario.users)
    observers: list[Forked] = [Observer(subject, writer)]
    if scenario.breaks:
        observers.append(Probe(plan, writer))
    ceiling = None if plan.computes else Ceiling(plan)
    generator = Generator(user_class, plan, writer, folder / USERS_LOG)
    try:
        if ceiling:
            view.phase("measuring the generator", None)
            writer.event("ceiling", rate=round(ceiling.measure(), 1))
            ceiling.close()
        view.phase("starting", None)
        generator.connect()
        for observer in observers:
            observer.start()
        writer.event("server", processes=servers.processes(plan.target))
        spans = [
            _run_stage(stage, generator, plan, writer, view)
            for stage in scenario.stages(plan, lambda: _rates(folder / HISTORY))
        ]
        if scenario.breaks:  # which processes ended without a fault is known by now
            writer.event("server", processes=servers.processes(plan.target))
            _break(plan, generator, writer, folder / HISTORY, view)
        writer.event("phase", phase="finish")
        view.phase("finishing", None)
        generator.stop()
        for observer in observers:
            observer.stop()
        if not scenario.breaks:
            writer.event("server", processes=servers.processes(plan.target))
        if plan.target:
            _look_at_balancer(plan.target, spans, writer)
    except BaseException:
        generator.kill()
        for observer in observers:
            observer.kill()
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


def _look_at_balancer(target: Target, spans: list[balancer.Span], writer: History) -> None:
    try:
        for found in balancer.replicas(target, spans):
            writer.event("balancer", **found)
    except (DockerException, ClusterError, OSError) as error:
        writer.event("not_done", said=f"the balancer's log was not read: {summary(error)}")


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


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _experiment(tracking_uri: str, scenario: str) -> str:
    name = f"mlflow-bench {scenario} {datetime.now(UTC):%Y-%m-%d %H:%M:%S} {secrets.token_hex(3)}"
    try:
        return str(MlflowClient().create_experiment(name))
    except MlflowException as error:
        first = str(error).splitlines()[0][:200]
        raise CannotRunError(f"{tracking_uri} does not take an experiment: {first}") from None
