from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with a team of which a third of the turns is about traces."""

    run = "mixed --users 4 --duration 4 --set traces=0.33 --set spans=5"
    says = "Nothing lost"
