from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with people who train."""

    run = "training --users 2 --duration 8"
    says = "Nothing lost"
