from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with people who search traces."""

    run = "trace-search --users 3 --duration 5 --set traces=120 --set spans=4"
    says = "Nothing lost"
