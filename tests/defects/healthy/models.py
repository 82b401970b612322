from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with people who register models."""

    run = "registry --users 3 --duration 4"
    says = "Nothing lost"
