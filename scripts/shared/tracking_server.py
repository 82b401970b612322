"""A tracking server, asked for something that is in its database."""

import urllib.request

TIMEOUT_S = 10.0
SEARCH = "/api/2.0/mlflow/experiments/search"


def search(address: str) -> None:
    """Search for an experiment; raise `OSError`, as `HTTPError`, where that is not answered.

    Args:
        address: on this machine, as `http://127.0.0.1:5000`.
    """
    request = urllib.request.Request(  # noqa: S310 - loopback
        address + SEARCH, b'{"max_results": 1}', {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
        pass
