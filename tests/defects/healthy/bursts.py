from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with eight batches at the same moment."""

    run = "burst --users 8 --duration 9"
    says = "Nothing lost"
