"""A saved run as an MLflow run on a tracking server of one's own: trend, comparison and sharing.

The plan becomes parameters, the stages metrics by their load (step: users, of an open load the
planned calls/s), operations metrics by name, the verdict tags, and the files of the run artifacts.
A run is known by a tag, so that publishing it again makes no second one.
"""

import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, Run, RunStatus, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from workloads import CannotRunError, error_summary
from workloads.plan import environment
from workloads.plan.plan import Load, Plan
from workloads.report import exports
from workloads.verdict.judge import REPORT, RESULT
from workloads.verdict.result import OperationFigures, Result, StageFigures

RUN = "mlflow-bench.run"
"""Tag that a published run is found by."""

CONTENT = "mlflow-bench.result"
"""Tag with the digest of `result.json`: it is set last, when all of it is there."""

MOST_CHARACTERS = 5000
"""Of a tag, as every server takes it."""

MOST_PARAMS, MOST_METRICS = 100, 500
"""Of one call: the server takes 100 parameters, and 1,000 things in all."""

OF_TRACES = ("failed", "dropped_spans", "dropped_traces", "recovered_s", "recovery_time_s")
"""Of what became of traces around a fault."""

_LATENCIES = ("p50_ms", "p95_ms", "p99_ms")
_NOT_IN_A_NAME = re.compile(r"[^\w.\- ]+", re.ASCII)


class Became(StrEnum):
    """What became of a run that was to be published."""

    NEW = "is published"
    CHANGED = "was brought up to date"
    SAME = "is there already"


@dataclass(frozen=True)
class Published:
    """Where a run is, for a browser."""

    address: str
    verdict: str
    became: Became


def publish(folder: Path, uri: str, experiment: str) -> Published:
    """Publish the run in `folder` on the server at `uri`; one that is there is brought up to date.

    Credentials are those of the environment, as mlflow's client takes them. Raises
    `CannotRunError` if the folder has no result, or the server does not take it.
    """
    result, content = read(folder)
    environment.server_version(uri)  # mlflow's client asks a server that is away for minutes
    try:
        client = MlflowClient(tracking_uri=uri)
        experiment_id = _experiment(client, experiment)
        run = _find(client, experiment_id, result.plan)
        became = Became.NEW if run is None else Became.CHANGED
        if run is None:
            run = _create(client, experiment_id, result.plan)
        address = f"{uri.rstrip('/')}/#/experiments/{experiment_id}/runs/{run.info.run_id}"
        if run.data.tags.get(CONTENT) == content:
            return Published(address, result.verdict.judgement, Became.SAME)
        _write(client, run, result, folder)
        client.set_tag(run.info.run_id, CONTENT, content)
    except (MlflowException, OSError) as error:
        raise CannotRunError(f"{uri} does not take the run: {error_summary(error)}") from None
    return Published(address, result.verdict.judgement, became)


def read(folder: Path) -> tuple[Result, str]:
    """Return the result of a saved run, and the digest of its file.

    Raises `CannotRunError` if there is none, or it is of another version.
    """
    path = folder / RESULT
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CannotRunError(
            f"{path}: {error.strerror}; give the folder of a run, as results/latest"
        ) from None
    try:
        return Result.model_validate_json(text), hashlib.sha256(text).hexdigest()
    except ValueError:
        raise CannotRunError(
            f"{path}: is no result of this version; make it anew: recheck --write {folder}"
        ) from None


def _experiment(client: MlflowClient, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    return str(client.create_experiment(name) if experiment is None else experiment.experiment_id)


def _find(client: MlflowClient, experiment_id: str, plan: Plan) -> Run | None:
    named = f"tags.`{RUN}` = '{_identity(plan)}'"
    return next(iter(client.search_runs([experiment_id], named, max_results=1)), None)


def _identity(plan: Plan) -> str:
    """What no other run has: the experiment that was made for it, on which server, and when."""
    known = (plan.tracking_uri, plan.experiment_id, plan.started)
    return hashlib.sha256("\n".join(known).encode()).hexdigest()


def _create(client: MlflowClient, experiment_id: str, plan: Plan) -> Run:
    return client.create_run(
        experiment_id,
        start_time=_begin_ms(plan),
        tags={RUN: _identity(plan), "mlflow.source.name": "mlflow-bench"},
        run_name=f"{plan.subject} {plan.scenario} {plan.profile_name}",
    )


def _begin_ms(plan: Plan) -> int:
    return round(datetime.fromisoformat(plan.started).timestamp() * 1000)


def _write(client: MlflowClient, run: Run, result: Result, folder: Path) -> None:
    run_id = run.info.run_id
    params = [
        Param(name, value)
        for name, value in parameters(result.plan)
        if run.data.params.get(name) != value
    ]
    tags = [RunTag(name, value) for name, value in _tags(result).items()]
    points = list(_new(client, run, metrics(result)))
    for begin in range(0, len(params), MOST_PARAMS):
        client.log_batch(run_id, params=params[begin : begin + MOST_PARAMS])
    for begin in range(0, len(points), MOST_METRICS):
        client.log_batch(run_id, metrics=points[begin : begin + MOST_METRICS])
    client.log_batch(run_id, tags=tags)
    for name in (RESULT, REPORT, *exports.tables(result)):
        if (folder / name).exists():
            client.log_artifact(run_id, str(folder / name))
    planned_s = sum(stage.stage.warm_up_s + stage.load_s for stage in result.stages)
    status = RunStatus.KILLED if result.interrupted else RunStatus.FINISHED
    end_ms = _begin_ms(result.plan) + round(planned_s * 1000)
    client.set_terminated(run_id, RunStatus.to_string(status), end_ms)


def parameters(plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield what was decided before the run, by name."""
    known = plan.model_dump(mode="json", exclude={"schema_version", "target"})
    if plan.target:
        shown = {"platform", "mlflow_version", "artifacts", "replicas", "workers"}
        known["target"] = plan.target.model_dump(mode="json", include=shown)
    yield from _flat("", known)


def _flat(prefix: str, known: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in known.items():
        name = prefix + _name(key)
        if isinstance(value, dict):
            yield from _flat(f"{name}.", value)
        elif isinstance(value, list):
            yield name, ",".join(map(str, value)) or "none"
        elif value is not None:
            yield name, str(value)


def metrics(result: Result) -> Iterator[tuple[str, int, float]]:
    """Yield name, step and value of everything that was measured."""
    for stage in result.stages:
        step = _step(stage)
        load = stage.stage.load.value
        yield from ((f"{load}/{name}", step, value) for name, value in _of_stage(stage))
        if stage.stage.name == result.judged_stage:
            for row in result.operations:
                what = f"{row.type} {_name(row.name)}"
                yield from ((f"{name}/{what}", step, value) for name, value in _times(row))
    yield "failed_calls", 0, float(sum(stage.calls.errors for stage in result.stages))
    for name in ("lost", "duplicates", "orphans", "unexpected", "differing", "unread"):
        kinds = result.durability.kinds.values()
        yield f"audit/{name}", 0, float(sum(getattr(sets, name) for sets in kinds))
    if result.freshness:
        yield "audit/stale", 0, float(result.freshness.stale)
        yield "audit/unexpected_reads", 0, float(result.freshness.unexpected)
    if missing := result.missing_spans:
        for name, value in missing:
            number = sum(value.values()) if isinstance(value, dict) else value
            yield f"audit/{name}", 0, float(number)
    if result.capacity and result.capacity.knee.users is not None:
        yield "knee/users", 0, float(result.capacity.knee.users)
        yield "knee/rate", 0, result.capacity.knee.rate
    for number, fault in enumerate(result.resilience.faults if result.resilience else [], 1):
        for name in ("outage_s", "recovered_s", "recovery_time_s", "failed"):
            if (value := getattr(fault, name)) is not None:
                yield f"{name}/{_name(fault.fault)}", number, float(value)
        for name in OF_TRACES:
            if fault.traces and (value := getattr(fault.traces, name)) is not None:
                yield f"traces/{name}/{_name(fault.fault)}", number, float(value)
    yield from ((f"deploy/{_name(name)}", 0, seconds) for name, seconds in result.deploy.items())


def _step(stage: StageFigures) -> int:
    """Of an open load the planned calls/s: its users only wait for their turn."""
    if stage.stage.load is Load.OPEN:
        return round(stage.stage.rate or 0)
    return stage.stage.users


def _of_stage(stage: StageFigures) -> Iterator[tuple[str, float]]:
    yield "rate", stage.calls.rate
    yield "errors", float(stage.calls.errors)
    yield from _times(stage.calls)
    if stage.observed and stage.observed.cpu_ms_per_call is not None:
        yield "cpu_ms_per_call", stage.observed.cpu_ms_per_call
    for name, value in stage.traces or ():
        if value is not None:
            yield f"traces/{name}", float(value)


def _times(row: OperationFigures) -> Iterator[tuple[str, float]]:
    """Of planned calls from the planned time on, as they are judged."""
    for name in _LATENCIES:
        if (value := getattr(row.response_time or row, name)) is not None:
            yield name, value


def _name(text: str) -> str:
    """Servers take few characters in names, and a slash makes a group."""
    return _NOT_IN_A_NAME.sub("-", text)


def _new(
    client: MlflowClient, run: Run, metrics: Iterable[tuple[str, int, float]]
) -> Iterator[Metric]:
    """Metrics that the run does not have yet, or otherwise."""
    now_ms = int(time.time() * 1000)
    published: dict[tuple[str, int], float] = {}
    for name in run.data.metrics:
        for metric in client.get_metric_history(run.info.run_id, name):
            published[name, metric.step] = metric.value
    for name, step, value in metrics:
        if published.get((name, step)) != value:
            yield Metric(name, value, now_ms, step)


def _tags(result: Result) -> dict[str, str]:
    verdict = result.verdict
    reasons = "\n".join(verdict.reasons)
    not_done = "\n".join(f"- not done: {reason}" for reason in result.not_done)
    note = f"**{verdict.judgement}**\n\n" + "\n".join(f"- {reason}" for reason in verdict.reasons)
    return {
        "mlflow-bench.verdict": verdict.judgement.value,
        "mlflow-bench.reasons": reasons[:MOST_CHARACTERS],
        "mlflow.note.content": f"{note}\n{not_done}"[:MOST_CHARACTERS],
    }
