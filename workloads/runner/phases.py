"""The phases of a run: load, readback, verdict and report; the history has each of them."""

# Locust patches the standard library for gevent when it is imported: before everything else.
import locust  # noqa: F401

# isort: split

import secrets
import signal
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import gevent  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from workloads import CannotRunError, error_summary, in_cluster, readback
from workloads.history import history
from workloads.history.history import HISTORY, History
from workloads.in_cluster.coordinator import load as load_inside
from workloads.load import set_up
from workloads.load.driver import load, processes
from workloads.plan import environment, limits
from workloads.plan.plan import Plan
from workloads.plan.request import Request
from workloads.readback.reconcile import reconcile
from workloads.report.live import LiveView
from workloads.target.target import Subject
from workloads.verdict.judge import READBACK, conclude
from workloads.verdict.result import Result
from workloads.web import Web


def run(subject: Subject, request: Request, folder: Path, web: Web | None = None) -> Result:
    """Run a scenario against a tracking server and leave everything in `folder`.

    To be imported after `client_settings.configure`. Raises `CannotRunError` if it cannot go on and
    `KeyboardInterrupt` when interrupted; what is written by then is kept.
    """
    plan = decide(subject, request)
    cluster = in_cluster.cluster(subject.target)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    hub = gevent.get_hub()
    hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)  # otherwise gevent prints it, too
    try:
        with LiveView(plan, web=web) as view:
            if cluster:
                load_inside(subject, plan, folder, view)
            else:
                if request.scenario.set_up:
                    plan = set_up.run(request.scenario.set_up, plan, view)
                load(subject, request.scenario, plan, folder, view)
            if request.reconcile:
                remove_duplicates(subject, plan, folder, view)
            read_back(subject, plan, folder, view)
        return conclude(folder)
    finally:
        signal.signal(signal.SIGTERM, previous)


def decide(subject: Subject, request: Request) -> Plan:
    """Decide everything that the run depends on, and create its experiment.

    Raises `CannotRunError` if the server does not answer or takes no experiment.
    """
    scenario, profile, rule = request.scenario, request.profile, request.client_rule
    cluster = in_cluster.cluster(subject.target)
    objectives = limits.decide(
        scenario, request.profile_name, subject.objectives, request.objectives
    )
    limits.check(objectives, scenario, request.parameters)
    return Plan(
        scenario=scenario.name,
        profile_name=request.profile_name,
        profile=profile,
        parameters=request.parameters.model_dump(),
        objectives=objectives,
        seed=request.seed,
        faults=request.faults,
        fail_fast=request.fail_fast,
        client_rule=rule,
        subject=subject.name,
        tracking_uri=cluster.tracking_uri
        if cluster and cluster.tracking_uri
        else subject.tracking_uri,
        target=subject.target,
        processes=processes(scenario, profile),
        computes=scenario.computes,
        environment=environment.describe(subject.tracking_uri, subject.target)
        | ({"creates sent again": f"as mlflow {rule} does (emulated)"} if rule else {}),
        experiment_id=_experiment(subject.tracking_uri, scenario.name),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def remove_duplicates(subject: Subject, plan: Plan, folder: Path, view: LiveView) -> None:
    """Delete what the client's retries created again, and record it in the history.

    Raises `CannotRunError` if the server refuses.
    """
    view.phase("removing duplicates", None)
    operations = history.operations(folder / HISTORY)
    try:
        removed = reconcile(subject.tracking_uri, plan.experiment_id, operations)
    except MlflowException as error:
        raise CannotRunError(f"duplicates were not removed: {error_summary(error)}") from None
    writer = History(folder / HISTORY)
    for duplicate in removed:
        writer.event("reconciled", **asdict(duplicate))
    writer.close()


def read_back(subject: Subject, plan: Plan, folder: Path, view: LiveView) -> None:
    """Read back what the history says was written; it is in no figure."""
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
