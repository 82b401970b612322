"""Exports of spans by OTLP, as a broken server changes them."""

import gzip
from collections.abc import Callable
from dataclasses import replace

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.defects.server import Call

EXPORT = "POST v1/traces"
"""Name of the call."""


def changed(call: Call, change: Callable[[ExportTraceServiceRequest], None]) -> Call:
    """Return an export with its spans changed in place."""
    packed = call.headers.get("Content-Encoding") == "gzip"
    request = ExportTraceServiceRequest()
    request.ParseFromString(gzip.decompress(call.body) if packed else call.body)
    change(request)
    body = request.SerializeToString()
    return replace(call, body=gzip.compress(body) if packed else body)
