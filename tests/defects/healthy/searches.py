from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with people who search."""

    run = "search --users 3 --duration 4 --set runs=120"
    says = "Nothing lost"
