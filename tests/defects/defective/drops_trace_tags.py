from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.defects.server import Answer, Call, Server
from tests.defects.traces import EXPORT, changed


def without_resource(request: ExportTraceServiceRequest) -> None:
    for of_resource in request.resource_spans:
        of_resource.ClearField("resource")


class Case(Server):
    """Keeps no tags of the traces of one export in three."""

    run = "otlp --duration 5"
    says = r"tag: \d+ lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == EXPORT and self.every(3):
            return await self.ask(changed(call, without_resource))
        return await self.ask(call)
