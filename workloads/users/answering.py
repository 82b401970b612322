"""Agents: a prompt with versions and an alias, and questions that are answered under a trace."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import mlflow
from mlflow.entities import Document, SpanType, Trace, TraceState
from mlflow.entities.model_registry import PromptVersion
from mlflow.tracing.constant import SpanAttributeKey
from mlflow.tracing.provider import provider

from workloads.history.spans import otel_id
from workloads.history.wire import TOKEN_TAG, registered_name
from workloads.scenarios.agents import ANSWER, PROMPT
from workloads.users.person import Person

ALIAS = "production"
AGENT = "agent"
SPANS = {
    AGENT: SpanType.AGENT,
    "retrieve": SpanType.RETRIEVER,
    "look up": SpanType.TOOL,
    "model": SpanType.CHAT_MODEL,
}
"""Names and types of the spans of a trace; all others are below the first."""

ROLL_BACK_EACH = 3

NAMED_BY = 8
"""Characters of a token in a prompt's name: PostgreSQL links traces to `name/version` only if that
has 36 at most; mlflow 3.17's client says nothing of a link that was refused."""


@dataclass(frozen=True)
class Answered:
    """A trace as its agent knows it."""

    trace_id: str
    question: str
    answer: str
    version: int


@dataclass
class Conversation:
    """A session of an agent: the traces that were begun, and those that were read back."""

    id: str
    model_id: str
    asked: set[str] = field(default_factory=set)
    answered: list[Answered] = field(default_factory=list)


class Prompt:
    """A prompt of one person: what each version says, and which one the alias names."""

    def __init__(self, person: Person) -> None:
        self._person = person
        token = person.session.token()[:NAMED_BY]
        self.name = registered_name(person.session.experiment_id, token)
        self.asked: dict[int, set[str]] = defaultdict(set)
        """Traces that were begun with each version."""
        self._templates: dict[int, str] = {}
        self._current = 0

    def uri(self, version: int) -> str:
        """Return the URI of a version."""
        return f"prompts:/{self.name}/{version}"

    def improve(self) -> Iterator[None]:
        """Register a version and move the alias to it, or back to the one before."""
        client, session = self._person.client, self._person.session
        if not self._templates:
            client.create_prompt(self.name, tags={"team": f"team-{session.user}"})
            yield
        template = f"Answer as {session.token()} would: {{{{question}}}}"
        made = client.register_prompt(
            self.name,
            template,
            commit_message=f"by user {session.user}",
            tags={TOKEN_TAG: session.token()},
        )
        if made.version in self._templates:
            raise AssertionError(f"{self.name}: version {made.version} was there already")
        self._templates[made.version] = template
        yield
        back = self._current and len(self._templates) % ROLL_BACK_EACH == 0
        self._current = self._current if back else made.version
        client.set_prompt_alias(self.name, ALIAS, self._current)
        yield

    def load(self) -> PromptVersion | None:
        """Load the version that the alias names, past the client's cache; None: it failed."""
        loaded: list[PromptVersion] = []
        with self._person.session.step(PROMPT):
            loaded.append(self._load())
        return loaded[0] if loaded else None

    def _load(self) -> PromptVersion:
        uri = f"prompts:/{self.name}@{ALIAS}"
        found: PromptVersion = mlflow.genai.load_prompt(uri, cache_ttl_seconds=0)
        current, template = self._current, self._templates[self._current]
        if found.version != current:
            raise AssertionError(f"{uri} is version {found.version}, and was set to {current}")
        if found.template != template:
            raise AssertionError(f"{uri} says {found.template!r}, and was made of {template!r}")
        return found


def ask(
    person: Person, prompt: Prompt, loaded: PromptVersion, talk: Conversation, number: int
) -> None:
    """Answer a question under a trace, and read the trace back."""
    session = person.session
    tags = {TOKEN_TAG: session.token()}
    metadata = {"session": talk.id, "user": f"user-{session.user}"}
    question = f"question {number}: {session.random.random()}"
    answer = f"answer to {question}"
    tokens = (session.random.randrange(1, 1000), session.random.randrange(1, 1000))
    with session.step(ANSWER):
        with mlflow.start_span(AGENT, span_type=SpanType.AGENT) as root:
            for begun in (talk.asked, prompt.asked[loaded.version]):
                begun.add(root.trace_id)
            root.set_inputs({"question": question})
            mlflow.update_current_trace(
                tags=tags,
                session_id=metadata["session"],
                user=metadata["user"],
                model_id=talk.model_id,
            )
            # Loaded within a trace, it is linked to it.
            mlflow.genai.load_prompt(prompt.uri(loaded.version), link_to_model=False)
            _retrieve(question)
            _look_up(number)
            _call_model(str(loaded.format(question=question)), answer, tokens)
            root.set_outputs({"answer": answer})
        send(person, root.trace_id)
        _check(person.client.get_trace(root.trace_id), tags, metadata, sum(tokens))
        talk.answered.append(Answered(root.trace_id, question, answer, loaded.version))


def send(person: Person, trace_id: str) -> None:
    """Have the client send a trace that has ended, and wait until it did.

    Raises `TimeoutError` if that takes longer than users have at the end of a run.
    """
    provider.get().force_flush()
    exports, timeout_s = person.process.exports, person.process.plan.profile.finish_s
    if exports and not exports.wait_for(otel_id(trace_id), timeout_s):
        raise TimeoutError(f"the client did not send trace {trace_id} within {timeout_s:g} s")


def _retrieve(question: str) -> None:
    with mlflow.start_span("retrieve", span_type=SpanType.RETRIEVER) as span:
        span.set_inputs(question)
        found = Document(page_content=f"about {question}", metadata={"doc_uri": "a.md"}, id="a")
        span.set_outputs([found])


def _look_up(number: int) -> None:
    with mlflow.start_span("look up", span_type=SpanType.TOOL) as span:
        span.set_inputs({"order": number})
        span.set_outputs({"state": "on its way"})


def _call_model(prompt: str, answer: str, tokens: tuple[int, int]) -> None:
    with mlflow.start_span("model", span_type=SpanType.CHAT_MODEL) as span:
        span.set_inputs([{"role": "user", "content": prompt}])
        asked, said = tokens
        usage = {"input_tokens": asked, "output_tokens": said, "total_tokens": asked + said}
        span.set_attribute(SpanAttributeKey.CHAT_USAGE, usage)
        span.set_outputs({"role": "assistant", "content": answer})


def _check(trace: Trace, tags: dict[str, str], metadata: dict[str, str], tokens: int) -> None:
    """Raise `AssertionError` if a trace is not the one that was made."""
    info = trace.info
    root = [span.span_id for span in trace.data.spans if span.name == AGENT]
    spans = {span.name: str(span.span_type) for span in trace.data.spans}
    if spans != SPANS or len(trace.data.spans) != len(SPANS):
        raise AssertionError(f"{info.trace_id}: its spans are {spans}, and were {SPANS}")
    if any(s.parent_id != root[0] for s in trace.data.spans if s.name != AGENT):
        raise AssertionError(f"{info.trace_id}: a span has lost its parent")
    if info.state is not TraceState.OK:
        raise AssertionError(f"{info.trace_id}: its state is {info.state}, and was OK")
    kept = {key: info.trace_metadata.get(f"mlflow.trace.{key}") for key in metadata}
    if kept != metadata:
        raise AssertionError(f"{info.trace_id}: its metadata is {kept}, and was {metadata}")
    if (kept := {key: info.tags.get(key) for key in tags}) != tags:
        raise AssertionError(f"{info.trace_id}: its tags are {kept}, and were {tags}")
    if (used := (info.token_usage or {}).get("total_tokens")) != tokens:
        raise AssertionError(f"{info.trace_id}: it used {used} tokens, and {tokens} were sent")
