from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with files up and down."""

    run = "artifacts --users 2 --duration 4 --set sizes_kib=16,256"
    says = "Nothing lost"
