from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.defects.server import Answer, Call, Server
from tests.defects.traces import EXPORT, changed


def without_first(request: ExportTraceServiceRequest) -> None:
    scope = request.resource_spans[0].scope_spans[0]
    if len(scope.spans) > 1:
        del scope.spans[0]


class Case(Server):
    """Leaves out a span of one export in three, and acknowledges them all."""

    run = "otlp --duration 5"
    says = r"span: \d+ lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == EXPORT and self.every(3):
            return await self.ask(changed(call, without_first))
        return await self.ask(call)
