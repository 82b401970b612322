"""People who look for runs, among many that are there, and know what they have to find."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import ClassVar

import mlflow
import numpy as np
from gevent.pool import Pool  # type: ignore[import-untyped]
from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from numpy.typing import NDArray

from workloads import CannotRunError
from workloads.history.wire import TOKEN_TAG
from workloads.plan.plan import Plan
from workloads.scenarios.search import BY_ALL, BY_METRIC, BY_PARAMETER, PAGES
from workloads.users.person import Activity, Person

MODELS = ("forest", "linear", "network")
TEAMS = 10
PAGE = 100
"""Runs of a page of results, as the web interface asks for."""
MAKERS = 8


def values(number: int) -> tuple[str, str, float]:
    """Model, team and score of run `number`: every answer is known from them."""
    return MODELS[number % len(MODELS)], f"team-{number % TEAMS}", number % 1000 / 1000


def make_runs(plan: Plan, progress: Callable[[int, int], None]) -> dict[str, str]:
    """Make the runs to be searched, unless an earlier run of this kind left them.

    Raises `CannotRunError` if the experiment is there with another number of runs.
    """
    client = mlflow.MlflowClient(plan.tracking_uri)
    runs = int(plan.parameters["runs"])
    name = f"mlflow-bench search, {runs} runs"
    experiment = client.get_experiment_by_name(name)
    if experiment and experiment.lifecycle_stage == "active":
        if experiment.tags.get("complete") == "yes":
            return {"seeded": experiment.experiment_id}
        raise CannotRunError(
            f"experiment {name!r} is there and was never completed: delete it, or --set runs="
        )
    if experiment:
        raise CannotRunError(f"experiment {name!r} is deleted: restore it, or --set another runs=")
    experiment_id = client.create_experiment(name)

    def make(number: int) -> None:
        model, team, score = values(number)
        run = client.create_run(experiment_id, run_name=f"run-{number}")
        client.log_batch(
            run.info.run_id,
            metrics=[Metric("score", score, 0, 0), Metric("loss", 1 - score, 0, 0)],
            params=[Param("model", model), Param("number", str(number))],
            tags=[RunTag("team", team)],
        )
        client.set_terminated(run.info.run_id)

    for made, _ in enumerate(Pool(MAKERS).imap_unordered(make, range(runs)), 1):
        progress(made, runs)
    client.set_experiment_tag(experiment_id, "complete", "yes")
    return {"seeded": experiment_id}


@cache
def _columns(runs: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers and scores of all runs."""
    numbers = np.arange(runs)
    return numbers, numbers % 1000 / 1000


def expected(runs: int, limit: float, model: str | None = None, team: str | None = None) -> int:
    """How many of so many runs have a score above the limit, and that model and team."""
    numbers, scores = _columns(runs)
    matches = scores > limit
    if model is not None:
        matches = matches & (numbers % len(MODELS) == MODELS.index(model))
    if team is not None:
        matches = matches & (numbers % TEAMS == int(team.removeprefix("team-")))
    return int(matches.sum())


def search_runs(person: Person) -> Iterator[None]:
    """Search by metric, parameter, tag and all of them; order; page on; read one run.

    Each search is a step that fails when the answer is not the known one, which is counted before
    its time begins. After each round its number is noted on a run of the searcher's own.
    """
    session, client = person.session, person.client
    runs = int(person.parameters["runs"])
    experiment = [str(person.parameters["seeded"])]

    def check(
        query: str, page: list[Run], total: int, fits: Callable[[Run], bool] = lambda _: True
    ) -> None:
        if len(page) != min(total, PAGE):
            raise AssertionError(f"{query}: {len(page)} runs, and there are {total}")
        if wrong := [run.info.run_id for run in page if not fits(run)]:
            raise AssertionError(f"{query}: {len(wrong)} wrong runs of {len(page)}, as {wrong[0]}")

    def scores_above(run: Run) -> bool:
        return bool(run.data.metrics["score"] > limit)

    def is_theirs(run: Run) -> bool:
        return run.data.params["model"] == model and run.data.tags["team"] == team

    token = session.token()
    note = client.create_run(session.experiment_id, tags={TOKEN_TAG: token}, run_name=token)
    rounds = 0
    while True:
        limit = session.random.randrange(1000) / 1000
        model = session.random.choice(MODELS)
        team = f"team-{session.random.randrange(TEAMS)}"
        total = expected(runs, limit)
        with session.step(BY_METRIC):
            page = client.search_runs(
                experiment,
                f"metrics.score > {limit}",
                ViewType.ACTIVE_ONLY,
                PAGE,
                ["metrics.score DESC"],
            )
            check(f"score > {limit}", page, total, scores_above)
            scores = [run.data.metrics["score"] for run in page]
            if scores != sorted(scores, reverse=True):
                raise AssertionError(f"score > {limit}: the runs are not in order")
        yield
        by = f"params.model = '{model}' and tags.team = '{team}'"
        total = expected(runs, -1, model, team)
        with session.step(BY_PARAMETER):
            page = client.search_runs(experiment, by, max_results=PAGE)
            check(by, page, total, is_theirs)
        yield
        by = f"metrics.score > {limit} and params.model = '{model}' and tags.team = '{team}'"
        total = expected(runs, limit, model, team)
        with session.step(BY_ALL):
            page = client.search_runs(experiment, by, max_results=PAGE)
            check(by, page, total, lambda run: is_theirs(run) and scores_above(run))
        yield
        with session.step(PAGES):
            page = client.search_runs(experiment, max_results=PAGE)
            check("all runs", page, runs)
            if page.token:
                first_page = {run.info.run_id for run in page}
                page = client.search_runs(experiment, max_results=PAGE, page_token=page.token)
                check("all runs, page 2", page, runs - PAGE)
                if repeated := first_page & {run.info.run_id for run in page}:
                    raise AssertionError(f"all runs, page 2: {len(repeated)} are those of page 1")
        yield
        if page:
            person.read_run(session.random.choice(list(page)).info.run_id)
            yield
        rounds += 1
        client.set_tag(note.info.run_id, "rounds", rounds)
        yield


class Searcher(Person):
    """Someone who searches without a pause."""

    activities: ClassVar[dict[Activity, int]] = {search_runs: 1}
