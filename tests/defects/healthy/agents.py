from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with agents and those who judge them."""

    run = "agents --users 2 --duration 4"
    says = "Nothing lost"
