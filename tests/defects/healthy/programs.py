from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with programs that OpenTelemetry's SDK traces."""

    run = "otlp --duration 25 --objective p95_ms=8000"
    says = "Nothing lost"
