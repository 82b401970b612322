from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with batches of 200 metrics, five in a second."""

    run = "metrics --users 3 --duration 5 --set metrics=200 --objective min_rate=5"
    says = "Nothing lost"
