from tests.defects.server import Server


class Case(Server):
    """Is served below a path, as `https://tools.example.com/mlflow`."""

    run = "mixed --users 4 --duration 4"
    says = "Nothing lost"
    prefix = "/team/mlflow"
