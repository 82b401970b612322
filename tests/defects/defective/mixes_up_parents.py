from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.defects.server import Answer, Call, Server
from tests.defects.traces import EXPORT, changed


def turned(request: ExportTraceServiceRequest) -> None:
    """Give two spans that are below others the parents of each other."""
    spans = request.resource_spans[0].scope_spans[0].spans
    below = [span for span in spans if span.parent_span_id]
    for one, other in zip(below[::2], below[1::2], strict=False):
        if one.trace_id == other.trace_id:
            one.parent_span_id, other.parent_span_id = other.span_id, one.parent_span_id


class Case(Server):
    """Puts spans of one export in three below other parents."""

    run = "otlp --duration 5"
    says = r"span: \d+ lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == EXPORT and self.every(3):
            return await self.ask(changed(call, turned))
        return await self.ask(call)
