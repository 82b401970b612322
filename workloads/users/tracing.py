"""Applications that are traced by MLflow's client: spans by hand, decorated functions, services."""

from typing import Any, ClassVar

import gevent  # type: ignore[import-untyped]
import mlflow
from mlflow.entities import SpanType
from mlflow.environment_variables import (
    MLFLOW_ASYNC_TRACE_LOGGING_MAX_QUEUE_SIZE,
    MLFLOW_ASYNC_TRACE_LOGGING_MAX_WORKERS,
)
from mlflow.tracing import (
    get_tracing_context_headers_for_http_request,
    set_tracing_context_from_http_request_headers,
)
from mlflow.tracing.provider import provider

from workloads.history.spans import otel_id
from workloads.users import trace_contents
from workloads.users.person import Activity
from workloads.users.trace_person import ACTIVITIES, TracePerson

BRANCH = 10
"""Spans of a step of an agent, with its own."""

SETTINGS: dict[str, Any] = {
    "export_queue": MLFLOW_ASYNC_TRACE_LOGGING_MAX_QUEUE_SIZE,
    "export_workers": MLFLOW_ASYNC_TRACE_LOGGING_MAX_WORKERS,
}
"""Variables of the client by the scenario's parameters."""

_READY: set[str] = set()
"""Experiments that this process sends its traces to: the client knows one at a time."""


@mlflow.trace(name="tool", span_type=SpanType.TOOL)
def call_tool(query: str) -> str:
    """What a decorated function is traced with: its arguments and its result."""
    return query[:20]


class Tracing(TracePerson):
    """An application whose agent answers a question."""

    activities: ClassVar[dict[Activity, int]] = ACTIVITIES

    @property
    def makes_traces(self) -> bool:
        """Whether there are any in this run."""
        return True

    def on_start(self) -> None:
        """Tell the client where traces go, once in a process."""
        super().on_start()
        if self.session.experiment_id not in _READY and self.makes_traces:
            _READY.add(self.session.experiment_id)
            for name, variable in SETTINGS.items():
                if name in self.parameters:
                    variable.set(self.parameters[name])
            mlflow.set_tracking_uri(self.process.plan.tracking_uri)
            mlflow.set_experiment(experiment_id=self.session.experiment_id)

    def make_trace(self, spans: int) -> int:
        """Answer a question: a root span, and below it steps with calls of a model and of tools.

        Each further service takes its share of the steps, and knows the trace by the headers of
        the request alone.
        """
        services = int(self.parameters.get("services", 1))
        with mlflow.start_span("agent", span_type=SpanType.AGENT) as root:
            root.set_inputs(self._message())
            left = spans - 1
            for number in range(services):
                share = left // (services - number)
                left -= share
                if not number:
                    self._steps(share)
                elif share:
                    headers = get_tracing_context_headers_for_http_request()
                    gevent.spawn(self._serve, f"service {number}", headers, share).get()
            root.set_outputs({"answer": trace_contents.text(self.session.random, 40)})
        return otel_id(root.trace_id)

    def send_now(self) -> None:
        """Let the batch processor hand on what it has."""
        provider.get().force_flush()

    def _serve(self, name: str, headers: dict[str, str], spans: int) -> None:
        """Be another service, which got a request with these headers."""
        self.process.attribute_calls_to(self.session)
        with set_tracing_context_from_http_request_headers(headers), mlflow.start_span(name):
            self._steps(spans - 1)

    def _steps(self, spans: int) -> None:
        while spans > 0:
            with mlflow.start_span("step", span_type=SpanType.CHAIN) as step:
                step.set_inputs(self._message())
                for number in range(min(spans, BRANCH) - 1):
                    if number % 2:
                        call_tool(trace_contents.text(self.session.random, self.span_bytes))
                        continue
                    with mlflow.start_span("model", span_type=SpanType.CHAT_MODEL) as model:
                        model.set_inputs([self._message()])
                        model.set_attribute("temperature", 0.2)
            spans -= BRANCH

    def _message(self) -> dict[str, Any]:
        return trace_contents.message(self.session.random, self.content, self.span_bytes)
