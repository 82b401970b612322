"""A tracking server, asked for something that is in its database."""

import base64
import ssl
import urllib.request
from pathlib import Path

TIMEOUT_S = 10.0
SEARCH = "/api/2.0/mlflow/experiments/search"


def search(address: str, ca_file: Path | None = None, user: tuple[str, str] | None = None) -> None:
    """Search for an experiment; raise `OSError`, as `HTTPError`, where that is not answered.

    Args:
        address: on this machine, as `http://127.0.0.1:5000`.
        ca_file: what an https address is verified by. None: it is not, as a certificate of
            somebody's own may be for another name than this machine's for itself.
        user: name and password, where the server asks for them.
    """
    request = urllib.request.Request(  # noqa: S310 - loopback
        address + SEARCH, b'{"max_results": 1}', {"Content-Type": "application/json"}
    )
    if user is not None:
        pair = base64.b64encode(":".join(user).encode()).decode()
        request.add_header("Authorization", f"Basic {pair}")
    context = None
    if address.startswith("https:"):
        context = ssl.create_default_context(cafile=ca_file)
        if ca_file is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
    with urllib.request.urlopen(request, timeout=TIMEOUT_S, context=context):  # noqa: S310
        pass
