"""One run: warm-up, load, reading back, judging, report; every phase is marked in the history."""

# Locust patches the standard library for gevent when it is imported: before everything else.
import locust  # noqa: F401, I001

import importlib
import secrets
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import gevent  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from infra.outputs import Target
from workloads import environment, history, servers
from workloads.errors import CannotRunError
from workloads.generator import Generator
from workloads.history import History
from workloads.judge import HISTORY, READBACK, conclude
from workloads.plan import Plan, Profile
from workloads.readback import Reader
from workloads.report.live import LiveView
from workloads.result import Result
from workloads.scenarios.scenario import Scenario

USERS_LOG = "users.log"


def run(
    target: Target,
    scenario: Scenario,
    profile_name: str,
    profile: Profile,
    seed: int,
    folder: Path,
) -> Result:
    """Run a scenario against a target and leave everything in `folder`.

    `workloads.settings.configure` comes first, before this module is imported. Raises
    `CannotRunError` if it cannot go on, and `KeyboardInterrupt` when interrupted; what was
    written until then is kept.
    """
    plan = decide(target, scenario, profile_name, profile, seed)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    hub = gevent.get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)  # else gevent prints it as well
    try:
        with LiveView(plan) as view:
            load(scenario, plan, folder, view)
            read_back(plan, folder, view)
        return conclude(folder)
    finally:
        signal.signal(signal.SIGTERM, previous)


def decide(
    target: Target, scenario: Scenario, profile_name: str, profile: Profile, seed: int
) -> Plan:
    """Fix everything that the run depends on, and make its experiment.

    Raises `CannotRunError` if the server does not answer or takes no experiment.
    """
    return Plan(
        scenario=scenario.name,
        profile_name=profile_name,
        profile=profile,
        objectives=scenario.objectives[profile_name],
        seed=seed,
        target=target,
        environment=environment.describe(target),
        experiment_id=_experiment(target.tracking_uri, scenario.name),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def load(scenario: Scenario, plan: Plan, folder: Path, view: LiveView) -> None:
    """Warm up and load; leaves the history. Raises `CannotRunError` if it cannot go on."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRunError(f"{folder}: {error.strerror}; name another with --results") from None
    writer = History(folder / HISTORY)
    writer.event("plan", plan=plan.model_dump(mode="json"))
    try:
        _load(scenario, plan, writer, folder, view)
    except KeyboardInterrupt:
        writer.event("interrupted")
        raise
    finally:
        writer.close()


def read_back(plan: Plan, folder: Path, view: LiveView) -> None:
    """Read back what the history speaks of; not load, and in no figure."""
    view.phase("reading back", None)
    operations = history.load(folder / HISTORY).operations
    Reader(plan.experiment_id, operations, folder / READBACK).read(view.progress)


def _load(scenario: Scenario, plan: Plan, writer: History, folder: Path, view: LiveView) -> None:
    module, _, class_name = scenario.users.partition(":")
    user_class = getattr(importlib.import_module(module), class_name)
    generator = Generator(user_class, plan, writer, folder / USERS_LOG)
    try:
        view.phase("starting", None)
        generator.start()
        writer.event("server", processes=servers.processes(plan.target))
        writer.event("phase", phase="warm-up")
        _wait(generator, view, "warm-up", plan.profile.warm_up_s)
        # A cold client or server can take longer than planned for its first round.
        patience = time.monotonic() + plan.profile.finish_s
        while not generator.warm() and time.monotonic() < patience and not generator.ended():
            gevent.sleep(0.25)
            view.load(generator.master.stats)
        writer.event("phase", phase="load")
        _wait(generator, view, "load", plan.profile.load_s)
        writer.event("phase", phase="finish")
        view.phase("finishing", None)
        generator.stop()
        writer.event("server", processes=servers.processes(plan.target))
    except BaseException:
        generator.kill()
        raise
    finally:
        log = folder / USERS_LOG
        if log.exists() and not log.stat().st_size:
            log.unlink()


def _wait(generator: Generator, view: LiveView, phase: str, seconds: float) -> None:
    view.phase(phase, seconds)
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
