"""A tracking server, asked for something that is in its database."""

import base64
import ssl
import urllib.request
from http.client import HTTPException
from pathlib import Path

TIMEOUT_S = 10.0
LOOK_S = 2.0
"""Of a question that is asked again and again."""

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
    _ask(request, ca_file, TIMEOUT_S)


def release(address: str, ca_file: Path | None = None) -> str:
    """Return the release of MLflow that serves there; raise `OSError` where none says so."""
    request = urllib.request.Request(f"{address}/version")  # noqa: S310 - loopback
    return _ask(request, ca_file, LOOK_S).decode(errors="replace").strip()


def _ask(request: urllib.request.Request, ca_file: Path | None, timeout_s: float) -> bytes:
    context = None
    if request.type == "https":
        context = ssl.create_default_context(cafile=ca_file)
        if ca_file is None:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
    try:
        answer = urllib.request.urlopen(request, timeout=timeout_s, context=context)  # noqa: S310
        with answer:
            body: bytes = answer.read()
            return body
    except HTTPException as error:
        raise OSError(f"no whole answer: {error!r}") from error
