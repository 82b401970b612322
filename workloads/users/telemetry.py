"""Programs that OpenTelemetry's SDK traces, and that send spans to MLflow by OTLP."""

import base64
import os
from collections.abc import Iterator
from typing import Any, ClassVar

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from workloads.target.http_options import VerifyingSession
from workloads.users import trace_contents
from workloads.users.person import Activity
from workloads.users.trace_person import ACTIVITIES, TracePerson

BRANCH = 10
"""Spans of a step of a program, with its own."""

EXPERIMENT_HEADER = "x-mlflow-experiment-id"


def credentials() -> Iterator[tuple[str, str]]:
    """Yield the header for the credentials that MLflow's client takes from the environment."""
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{n}") for n in ("USERNAME", "PASSWORD"))
    if user and password:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        yield "authorization", f"Basic {pair}"
    elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        yield "authorization", f"Bearer {token}"


class Telemetry(TracePerson):
    """A program of its own: a tracer provider, a batch processor and its thread, an exporter.

    The provider is not made the global one, which would be that of the whole process.
    """

    activities: ClassVar[dict[Activity, int]] = ACTIVITIES

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        exporter = OTLPSpanExporter(
            endpoint=f"{self.process.plan.tracking_uri}/v1/traces",
            headers={EXPERIMENT_HEADER: self.session.experiment_id, **dict(credentials())},
            session=VerifyingSession(),
            compression=Compression.Gzip,
        )
        service = Resource.create({"service.name": f"service-{self.session.user}"})
        self._provider = TracerProvider(resource=service, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("mlflow-bench")

    def make_trace(self, spans: int) -> int:
        """Serve a request: a root span, and below it steps with calls of a model."""
        with self._tracer.start_as_current_span("request", attributes=self._attributes()) as root:
            left = spans - 1
            while left > 0:
                with self._tracer.start_as_current_span("step", attributes=self._attributes()):
                    for _ in range(min(left, BRANCH) - 1):
                        with self._tracer.start_as_current_span(
                            "model", attributes=self._attributes()
                        ) as model:
                            model.set_attribute("gen_ai.request.temperature", 0.2)
                left -= BRANCH
            return root.get_span_context().trace_id

    def send_now(self) -> None:
        """Send what the batch processor has."""
        self._provider.force_flush()

    def _attributes(self) -> dict[str, str]:
        message = trace_contents.message(self.session.random, self.content, self.span_bytes)
        return {"gen_ai.prompt": trace_contents.as_json(message)}
