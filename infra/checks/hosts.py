"""Checks that a deployed server answers to every name it should have, and to no other.

A wrong list of hosts is accepted at start and shows as 403 `Invalid Host header` to the people
who use the missing name; one that is too wide opens the server to DNS rebinding.
"""

from collections.abc import Iterator, Sequence

import requests

FOREIGN = "elsewhere.invalid"
"""A name that no stack can have (RFC 6761)."""

PATIENCE_SECONDS = 10

_SEARCH = "/api/2.0/mlflow/experiments/search"


def wrong_answers(
    uri: str,
    hosts: Sequence[str],
    user: tuple[str, str] | None = None,
    ca_file: str | None = None,
) -> list[str]:
    """Return one line for each wrong answer of the server at `uri` (`http[s]://host:port`).

    Each of `hosts` must be served, with and without the port, and from pages of its own origin;
    `FOREIGN` must be refused as a host and as an origin. `user` is a name and a password, where
    the server asks for them; `ca_file` is what its certificate is verified by, None: the usual
    ones.
    """
    wrong = []
    scheme, _, address = uri.partition("://")
    for headers, expected in _questions(scheme, hosts, address.rpartition(":")[2]):
        try:
            # A search writes nothing, and as a POST it is what the check of origins looks at.
            status = requests.post(
                f"{uri}{_SEARCH}",
                json={"max_results": 1},
                headers=headers,
                auth=user,
                timeout=PATIENCE_SECONDS,
                verify=ca_file or True,
            ).status_code
        except requests.exceptions.SSLError as error:
            return [f"tls: {uri} is not trusted: {error}"]
        except requests.RequestException as error:
            return [f"allowed_hosts: {address} does not answer: {type(error).__name__}"]
        if user and status == requests.codes.unauthorized:
            return [
                f"auth: {address} refuses the stack's password of {user[0]}: somebody has changed "
                "it; docs/access.md says how it comes back"
            ]
        if status != expected:
            request = ", ".join(f"{name}: {value}" for name, value in headers.items())
            wrong.append(f"allowed_hosts: {address} answers {status} to {request}, not {expected}")
    return wrong


def _questions(
    scheme: str, hosts: Sequence[str], port: str
) -> Iterator[tuple[dict[str, str], int]]:
    for host in hosts:
        yield {"Host": host}, 200
        yield {"Host": f"{host}:{port}", "Origin": f"{scheme}://{host}:{port}"}, 200
        yield {"Host": f"{host}:{port}", "Origin": f"{scheme}://{FOREIGN}"}, 403
    yield {"Host": FOREIGN}, 403
    yield {"Host": f"{FOREIGN}:{port}"}, 403
