"""A team of agents and those who judge them: prompts, sessions of traces, feedback, data sets."""

from collections.abc import Iterator
from typing import ClassVar

import mlflow

from workloads.history.wire import TOKEN_TAG
from workloads.scenarios.agents import LINKS, SESSION
from workloads.users.answering import Conversation, Prompt, ask
from workloads.users.evaluating import merge_records
from workloads.users.expected import expect_traces
from workloads.users.judging import judge
from workloads.users.person import Activity, Person

_READY: set[str] = set()
"""Experiments that this process sends its traces to: the client knows one at a time."""


def work(person: Person) -> Iterator[None]:
    """Improve a prompt, answer a session's questions with it, have the answers judged; and again.

    Each round makes a version of the prompt and moves the alias, now and then back to the version
    before. All that comes back is compared with what is known to be there.
    """
    session, client = person.session, person.client
    prompt = Prompt(person)
    while True:
        yield from prompt.improve()
        name = f"agent-{session.token()}"
        model = client.create_logged_model(session.experiment_id, name, model_type="agent")
        yield
        client.finalize_logged_model(model.model_id, "READY")
        yield
        talk = Conversation(session.token(), model.model_id)
        for number in range(int(person.parameters["questions"])):
            loaded = prompt.load()
            yield
            if loaded:  # else the history has what went wrong
                ask(person, prompt, loaded, talk, number)
                yield
        for one in talk.answered:
            yield from judge(person, one)
        with session.step(SESSION):
            search_for(person, f"metadata.`mlflow.trace.session` = '{talk.id}'", talk)
        yield
        yield from link_to_run(person, prompt, talk)
        yield from merge_records(person, talk.answered)


def link_to_run(person: Person, prompt: Prompt, talk: Conversation) -> Iterator[None]:
    """Evaluate a session by a run: link its traces and their prompt to it, find them by it."""
    session, client = person.session, person.client
    if not talk.answered:
        return
    tags = {TOKEN_TAG: session.token(), "team": f"team-{session.user}"}
    name = f"evaluation by user {session.user}"
    run_id = client.create_run(session.experiment_id, tags=tags, run_name=name).info.run_id
    yield
    client.link_traces_to_run([one.trace_id for one in talk.answered], run_id)
    yield
    version = talk.answered[0].version
    client.link_prompt_version_to_run(run_id, prompt.uri(version))
    yield
    with session.step(LINKS):
        sure = {one.trace_id for one in talk.answered}
        found = find_traces(person, f"attribute.run_id = '{run_id}'")
        expect_traces(f"traces of run {run_id}", found, sure, sure)
        search_for(person, f"metadata.`mlflow.modelId` = '{talk.model_id}'", talk)
        # The client links prompts to a trace when it is done with it, and tells nobody.
        found = find_traces(person, f"prompt = '{prompt.name}/{version}'")
        expect_traces(f"traces of {prompt.uri(version)}", found, (), prompt.asked[version])
    yield
    client.set_terminated(run_id)
    yield


def find_traces(person: Person, by: str) -> list[str]:
    """Return the ids of the traces that a search gives."""
    page = person.client.search_traces(
        locations=[person.session.experiment_id],
        filter_string=by,
        max_results=500,
        include_spans=False,
    )
    return [trace.info.trace_id for trace in page]


def search_for(person: Person, by: str, talk: Conversation) -> None:
    """Search for those of a session; raises `AssertionError` if others are found."""
    sure = {one.trace_id for one in talk.answered}
    expect_traces(by, find_traces(person, by), sure, talk.asked)


class Agents(Person):
    """Someone with an agent of their own, who also judges it."""

    activities: ClassVar[dict[Activity, int]] = {work: 1}

    def on_start(self) -> None:
        """Tell the client where traces go, once in a process."""
        super().on_start()
        if self.session.experiment_id not in _READY:
            _READY.add(self.session.experiment_id)
            mlflow.set_tracking_uri(self.process.plan.tracking_uri)
            mlflow.set_experiment(experiment_id=self.session.experiment_id)
