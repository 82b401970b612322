"""People who look for runs, among many that are there, and know what they have to find."""

from collections.abc import Callable, Iterator
from typing import ClassVar

import mlflow
from gevent.pool import Pool  # type: ignore[import-untyped]
from mlflow.entities import Metric, Param, RunTag, ViewType

from workloads.errors import CannotRunError
from workloads.plan import Plan
from workloads.users.person import Life, Person
from workloads.wire import TOKEN_TAG

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
    known = client.get_experiment_by_name(name)
    if known and known.lifecycle_stage == "active":
        if known.tags.get("complete") == "yes":
            return {"seeded": known.experiment_id}
        raise CannotRunError(
            f"experiment {name!r} is there and was never completed: delete it, or --set runs="
        )
    if known:
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

    for done, _ in enumerate(Pool(MAKERS).imap_unordered(make, range(runs)), 1):
        progress(done, runs)
    client.set_experiment_tag(experiment_id, "complete", "yes")
    return {"seeded": experiment_id}


def search_runs(person: Person) -> Iterator[None]:
    """Search by metric, parameter, tag and all of them; order; page on; read one run.

    Each search is a step that fails when the answer is not the known one. After each round its
    number is noted on a run of the searcher's own.
    """
    session, client = person.session, person.client
    runs = int(person.parameters["runs"])
    experiment = [str(person.parameters["seeded"])]

    def expect(limit: float, model: str | None = None, team: str | None = None) -> int:
        found = (values(number) for number in range(runs))
        return sum(
            score > limit and model in (None, m) and team in (None, t) for m, t, score in found
        )

    def check(what: str, got: int, wanted: int) -> None:
        if got != min(wanted, PAGE):
            raise AssertionError(f"{what}: {got} runs, and there are {wanted}")

    token = session.token()
    note = client.create_run(session.experiment_id, tags={TOKEN_TAG: token}, run_name=token)
    rounds = 0
    while True:
        limit = session.random.randrange(1000) / 1000
        model = session.random.choice(MODELS)
        team = f"team-{session.random.randrange(TEAMS)}"
        with session.step("search by metric, in order"):
            page = client.search_runs(
                experiment,
                f"metrics.score > {limit}",
                ViewType.ACTIVE_ONLY,
                PAGE,
                ["metrics.score DESC"],
            )
            check(f"score > {limit}", len(page), expect(limit))
            scores = [run.data.metrics["score"] for run in page]
            if scores != sorted(scores, reverse=True):
                raise AssertionError(f"score > {limit}: the runs are not in order")
        yield
        with session.step("search by parameter and tag"):
            by = f"params.model = '{model}' and tags.team = '{team}'"
            page = client.search_runs(experiment, by, max_results=PAGE)
            check(by, len(page), expect(-1, model, team))
        yield
        with session.step("search by all"):
            by = f"metrics.score > {limit} and params.model = '{model}' and tags.team = '{team}'"
            page = client.search_runs(experiment, by, max_results=PAGE)
            check(by, len(page), expect(limit, model, team))
        yield
        with session.step("first two pages"):
            page = client.search_runs(experiment, max_results=PAGE)
            check("all runs", len(page), runs)
            if page.token:
                page = client.search_runs(experiment, max_results=PAGE, page_token=page.token)
                check("all runs, page 2", len(page), runs - PAGE)
        yield
        if page:
            client.get_run(session.random.choice(list(page)).info.run_id)
            yield
        rounds += 1
        client.set_tag(note.info.run_id, "rounds", rounds)
        yield


class Searcher(Person):
    """Someone who searches without a pause."""

    lives: ClassVar[dict[Life, int]] = {search_runs: 1}
