from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with four people who log."""

    run = "metrics --users 4 --duration 3"
    says = "Nothing lost"
