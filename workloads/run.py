"""One run: warm-up, load, reading back, judging, report; every phase is marked in the history."""

# Locust patches the standard library for gevent when it is imported: before everything else.
import locust  # noqa: F401, I001

import secrets
import signal
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import gevent  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from workloads import environment, history, inside, readback, set_up
from workloads.errors import CannotRunError, summary
from workloads.history import HISTORY, History
from workloads.inside.outside import load as load_inside
from workloads.judge import READBACK, conclude
from workloads.load import load, processes
from workloads.plan import Objectives, Plan, Profile
from workloads.reconcile import reconcile
from workloads.report.live import LiveView
from workloads.result import Result
from workloads.scenarios.scenario import Parameters, Scenario
from workloads.target import Subject


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
    inner = inside.cluster(subject.target)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    hub = gevent.get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)  # else gevent prints it as well
    try:
        with LiveView(plan) as view:
            if inner:
                load_inside(subject, plan, folder, view)
            else:
                if wanted.scenario.set_up:
                    plan = set_up.run(wanted.scenario.set_up, plan, view)
                load(subject, wanted.scenario, plan, folder, view)
            if wanted.reconcile:
                remove_doubles(subject, plan, folder, view)
            read_back(subject, plan, folder, view)
        return conclude(folder)
    finally:
        signal.signal(signal.SIGTERM, previous)


def decide(subject: Subject, wanted: Wanted) -> Plan:
    """Fix everything that the run depends on, and make its experiment.

    Raises `CannotRunError` if the server does not answer or takes no experiment.
    """
    scenario, profile = wanted.scenario, wanted.profile
    inner = inside.cluster(subject.target)
    aims = scenario.objectives[wanted.profile_name].model_dump() | (subject.objectives or {})
    return Plan(
        scenario=scenario.name,
        profile_name=wanted.profile_name,
        profile=profile,
        parameters=wanted.parameters.model_dump(),
        objectives=Objectives.model_validate(aims),
        seed=wanted.seed,
        faults=wanted.faults,
        subject=subject.name,
        tracking_uri=inner.tracking_uri if inner and inner.tracking_uri else subject.tracking_uri,
        target=subject.target,
        processes=processes(scenario, profile),
        computes=scenario.computes,
        environment=environment.describe(subject.tracking_uri, subject.target),
        experiment_id=_experiment(subject.tracking_uri, scenario.name),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def remove_doubles(subject: Subject, plan: Plan, folder: Path, view: LiveView) -> None:
    """Delete what the client's own retries created again, and write down what was deleted.

    Raises `CannotRunError` if the server refuses.
    """
    view.phase("removing doubles", None)
    operations = history.operations(folder / HISTORY)
    try:
        removed = reconcile(subject.tracking_uri, plan.experiment_id, operations)
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


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _experiment(tracking_uri: str, scenario: str) -> str:
    name = f"mlflow-bench {scenario} {datetime.now(UTC):%Y-%m-%d %H:%M:%S} {secrets.token_hex(3)}"
    try:
        return str(MlflowClient().create_experiment(name))
    except MlflowException as error:
        first = str(error).splitlines()[0][:200]
        raise CannotRunError(f"{tracking_uri} does not take an experiment: {first}") from None
