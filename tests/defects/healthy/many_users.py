from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with 16 people at once."""

    run = "metrics --users 16 --duration 5 --objective p95_ms=3000"
    says = "Nothing lost"
