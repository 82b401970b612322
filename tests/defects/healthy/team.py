from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with a whole team."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"
