from dataclasses import replace

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Leaves a span out of one batch in ten and acknowledges all of it, as MLflow 3.17 may do."""

    run = "traces --users 4 --rate 10 --duration 4"
    says = r"span: \d+ lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST v1/traces" and self.every(10):
            batch = ExportTraceServiceRequest.FromString(call.body)
            spans = batch.resource_spans[-1].scope_spans[-1].spans
            if len(spans) > 1:
                del spans[-1]
                call = replace(call, body=batch.SerializeToString())
        return await self.ask(call)
