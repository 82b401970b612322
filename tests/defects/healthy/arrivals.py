from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with calls that come as they come."""

    run = "metrics --users 32 --rate 25 --duration 10"
    says = "Nothing lost"
