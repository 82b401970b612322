from tests.defects.server import Server


class Case(Server):
    """A server that is in order, with files of 8 MiB."""

    run = "artifacts --users 2 --duration 10 --set sizes_kib=256,8192"
    says = "Nothing lost"
