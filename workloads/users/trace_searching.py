"""People who look for traces, among many that are there, and know what they have to find."""

from collections.abc import Callable, Iterator
from typing import ClassVar

import mlflow
import numpy as np
from gevent.pool import Pool  # type: ignore[import-untyped]
from mlflow.entities import TraceInfo
from mlflow.entities.trace_metrics import (
    AggregationType,
    MetricAggregation,
    MetricDataPoint,
    MetricViewType,
)
from mlflow.store.entities import PagedList
from mlflow.store.tracking.rest_store import RestStore
from numpy.typing import NDArray

from workloads import CannotRunError
from workloads.filling import api, experiment, facts, traces
from workloads.filling.answers import PAGE, Known, check
from workloads.filling.facts import MS_PER_DAY, Shape
from workloads.plan.plan import Plan
from workloads.scenarios import trace_search as steps
from workloads.users.person import Activity, Person

DETAILED = 10
"""Traces that are opened at once."""
MAKERS = 8
DAYS = 30
"""Over which the traces are spread."""
TEXT = 300
"""Characters of free text in each span."""


def make_traces(plan: Plan, progress: Callable[[int, int], None]) -> dict[str, object]:
    """Make the traces to be searched, unless they are there: from an earlier run, or a fill.

    Raises `CannotRunError` if the experiment is there and not complete.
    """
    client = mlflow.MlflowClient(plan.tracking_uri)
    wanted, spans = int(plan.parameters["traces"]), int(plan.parameters["spans"])
    if found := experiment.find(client, wanted, spans):
        if not experiment.is_complete(found):
            raise CannotRunError(
                f"experiment {found.name!r} is there and was never completed: delete it, or "
                "--set traces="
            )
        return {"seeded": found.experiment_id, "shape": experiment.shape_of(found).as_dict()}
    shape = Shape.until(experiment.now_ms(), DAYS, wanted, spans=spans, text=TEXT, seed="1")
    experiment_id = experiment.create(client, shape)
    store = api.store(plan.tracking_uri)

    def make(number: int) -> None:
        api.send(store, traces.trace(number, shape, experiment_id), experiment_id)

    for made, _ in enumerate(Pool(MAKERS).imap_unordered(make, range(wanted)), 1):
        progress(made, wanted)
    experiment.complete(client, experiment_id)
    return {"seeded": experiment_id, "shape": shape.as_dict()}


class Search:
    """Searches of one person in one experiment, each checked."""

    def __init__(self, store: RestStore, experiment_id: str, known: Known) -> None:
        self.store = store
        self.experiments = [experiment_id]
        self.known = known
        self.found: list[TraceInfo] = []
        """What the last search found."""

    def page(
        self,
        filter_: str,
        expected: list[int],
        order: str = "timestamp_ms DESC",
        page_token: str | None = None,
    ) -> str | None:
        """Ask for a page of results; returns the token of the next one."""
        token: str | None
        self.found, token = self.store.search_traces(
            experiment_ids=self.experiments,
            filter_string=filter_,
            max_results=PAGE,
            order_by=[order],
            page_token=page_token,
        )
        check(filter_, [info.client_request_id for info in self.found], expected)
        return token

    def slowest(self, filter_: str, which: NDArray[np.bool_]) -> None:
        """Ask for those that took longest."""
        durations = np.sort(self.known.durations_ms[which])[::-1][:PAGE].tolist()
        self.found, _ = self.store.search_traces(
            experiment_ids=self.experiments,
            filter_string=filter_,
            max_results=PAGE,
            order_by=["execution_time DESC"],
        )
        numbers = [facts.number_of(info.client_request_id) for info in self.found]
        if [info.execution_duration for info in self.found] != durations:
            raise AssertionError(f"slowest, {filter_}: not those that took longest, in order")
        for number, duration in zip(numbers, durations, strict=True):
            if not which[number] or facts.duration_ms(number) != duration:
                raise AssertionError(f"slowest, {filter_}: trace {number} is not one of them")
        if len(set(numbers)) < len(numbers):
            raise AssertionError(f"slowest, {filter_}: a trace is there twice")

    def details(self, numbers: list[int]) -> None:
        """Read traces with their spans, and compare what each span holds."""
        shape, [experiment_id] = self.known.shape, self.experiments
        wanted = [traces.trace(number, shape, experiment_id) for number in numbers]
        answered = self.store.batch_get_traces([trace.id for trace in wanted], experiment_id)
        found = {trace.info.trace_id: trace for trace in answered}
        for trace in wanted:
            if trace.id not in found:
                raise AssertionError(f"trace {trace.id} was asked for, and did not come")
            spans = found[trace.id].data.spans
            here = {(span.span_id, span.parent_id, span.name, span.start_time_ns) for span in spans}
            there = {(span.id, span.parent, span.name, span.start_ns) for span in trace.spans}
            if here != there or len(spans) != len(there):
                raise AssertionError(f"trace {trace.id}: its spans are not those that it has")

    def infos(self, numbers: list[int]) -> None:
        """Read traces without their spans, as the web interface does for a page."""
        shape, [experiment_id] = self.known.shape, self.experiments
        wanted = [traces.trace_id(number, shape, experiment_id) for number in numbers]
        answered = self.store.batch_get_trace_infos(wanted)
        found = {info.trace_id: facts.number_of(info.client_request_id) for info in answered}
        if found != dict(zip(wanted, numbers, strict=True)):
            raise AssertionError(f"{len(wanted)} traces were asked for, and others came")

    def charts(self, begin_ms: int, end_ms: int) -> None:
        """Ask for what the overview page draws of a time, and compare with the known sums."""
        within = (self.known.began_ms >= begin_ms) & (self.known.began_ms <= end_ms)
        numbers = self.known.numbers[within]
        days = np.unique(self.known.began_ms[within] // MS_PER_DAY, return_counts=True)
        counted = self._metric("trace_count", AggregationType.COUNT, begin_ms, end_ms, day=True)
        if sorted(values for _, values in counted) != sorted(map(float, days[1].tolist())):
            raise AssertionError(f"traces a day: {counted}, and there are {days[1].tolist()}")
        states = facts.failed(numbers)
        by_state = dict(
            self._metric("trace_count", AggregationType.COUNT, begin_ms, end_ms, by="trace_status")
        )
        expected = {"ERROR": float(states.sum()), "OK": float((~states).sum())}
        if by_state != {state: count for state, count in expected.items() if count}:
            raise AssertionError(f"traces by state: {by_state}, and there are {expected}")
        tokens = facts.input_tokens(numbers) + facts.output_tokens(numbers)
        total = int(tokens.sum()) * facts.model_calls(self.known.shape.spans)
        summed = self._metric("total_tokens", AggregationType.SUM, begin_ms, end_ms)
        if [value for _, value in summed] != [float(total)]:
            raise AssertionError(f"tokens: {summed}, and there are {total}")

    def _metric(
        self,
        name: str,
        aggregation: AggregationType,
        begin_ms: int,
        end_ms: int,
        by: str | None = None,
        day: bool = False,
    ) -> list[tuple[str | None, float]]:
        """Value of each group, with the group's own value of the dimension `by`."""
        points: PagedList[MetricDataPoint] = self.store.query_trace_metrics(
            experiment_ids=self.experiments,
            view_type=MetricViewType.TRACES,
            metric_name=name,
            aggregations=[MetricAggregation(aggregation)],
            dimensions=[by] if by else None,
            time_interval_seconds=86_400 if day else None,
            start_time_ms=begin_ms,
            end_time_ms=end_ms,
        )
        return [
            (point.dimensions.get(by) if by else None, point.values[aggregation.value])
            for point in points
        ]

    def correlation(self, team: str, which: NDArray[np.bool_], failed: NDArray[np.bool_]) -> None:
        """Ask how far a team's traces are those that fail."""
        answer = self.store.calculate_trace_filter_correlation(
            self.experiments, f"tags.team = '{team}'", "trace.status = 'ERROR'"
        )
        counts = (
            *(answer.filter1_count, answer.filter2_count),
            *(answer.joint_count, answer.total_count),
        )
        known = tuple(map(int, (which.sum(), failed.sum(), (which & failed).sum(), which.size)))
        if counts != known:
            raise AssertionError(f"correlation of {team} with ERROR: {counts}, and it is {known}")


def search_traces(person: Person) -> Iterator[None]:
    """Search in every way, read what was found, draw the charts; note each round in a tag.

    Each search is a step that fails when the answer is not the known one, which is counted before
    its time begins.
    """
    session = person.session
    known = Known(Shape(**person.parameters["shape"]))
    shape, numbers, began_ms = known.shape, known.numbers, known.began_ms
    store = api.store(person.process.plan.tracking_uri)
    search = Search(store, str(person.parameters["seeded"]), known)
    teams, failed = facts.team(numbers), facts.failed(numbers)
    cities, tools = facts.city(numbers), facts.tool(numbers)
    everything = np.ones(shape.traces, bool)
    token = session.token()
    own = Shape(1, experiment.now_ms(), 1, spans=facts.LEAST_SPANS, text=20, seed=token)
    note = traces.trace(0, own, session.experiment_id)
    api.send(store, note, session.experiment_id)
    yield
    rounds = 0
    while True:
        number = session.random.randrange(shape.traces)
        team = session.random.randrange(facts.TEAMS)
        city = session.random.randrange(len(facts.CITIES))
        tool = session.random.randrange(len(facts.TOOLS))
        begin_ms = shape.began_ms(session.random.randrange(shape.traces))
        end_ms = min(begin_ms + 7 * MS_PER_DAY, shape.end_ms)
        recent = f"trace.timestamp_ms >= {begin_ms} AND trace.timestamp_ms <= {end_ms}"
        within = (began_ms >= begin_ms) & (began_ms <= end_ms)
        theirs = f"tags.team = 'team-{team}'"
        place, named = facts.CITIES[city], facts.TOOLS[tool]

        expected = known.latest(within)
        with session.step(steps.LATEST):
            search.page(recent, expected)
        yield
        expected = known.latest(within & (teams == team))
        with session.step(steps.BY_TIME):
            search.page(f"{recent} AND {theirs}", expected)
        yield
        expected = known.latest(failed)
        with session.step(steps.BY_STATE):
            search.page("trace.status = 'ERROR'", expected)
        yield
        wanted = facts.session(number)
        expected = known.latest(facts.session(numbers) == wanted)
        with session.step(steps.BY_SESSION):
            search.page(f"metadata.`mlflow.trace.session` = 'session-{wanted}'", expected)
        yield
        expected = known.latest(failed & (tools == tool))
        with session.step(steps.BY_SPAN):
            search.page(
                f"span.type = 'TOOL' AND span.name = '{named}' AND span.status = 'ERROR'", expected
            )
        yield
        with session.step(steps.SLOWEST):
            search.slowest(theirs, teams == team)
        yield
        pages = known.latest(everything, 2)
        with session.step(steps.PAGES):
            page_token = search.page("", pages[:PAGE])
            if page_token and pages[PAGE:]:
                search.page("", pages[PAGE:], page_token=page_token)
        yield
        some = [session.random.randrange(shape.traces) for _ in range(DETAILED)]
        with session.step(steps.DETAILS):
            search.infos(sorted(set(some)))
            search.details(sorted(set(some)))
        yield
        with session.step(steps.CHARTS):
            search.charts(begin_ms, end_ms)
        yield
        with session.step(steps.CORRELATION):
            search.correlation(f"team-{team}", teams == team, failed)
        yield
        if not person.parameters.get("archived"):
            expected = known.latest(cities == city)
            with session.step(steps.BY_ATTRIBUTE):
                search.page(f"span.attributes.city LIKE '%{place}%'", expected)
            yield
            with session.step(steps.BY_TEXT):
                search.page(f"trace.text LIKE '%{place}%'", expected)
            yield
            with session.step(steps.BY_WORD):
                search.page(f"trace.text LIKE '%{facts.ticket(number)}%'", [number])
            yield
            expected = known.latest(within & (teams == team) & (cities == city))
            with session.step(steps.BY_ALL):
                search.page(f"{recent} AND {theirs} AND trace.text LIKE '%{place}%'", expected)
            yield
        rounds += 1
        store.set_trace_tag(note.id, "rounds", str(rounds))
        yield


class TraceSearcher(Person):
    """Someone who searches traces without a pause."""

    activities: ClassVar[dict[Activity, int]] = {search_traces: 1}
