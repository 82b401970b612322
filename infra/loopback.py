"""What is asked on loopback goes to no proxy, whatever the shell says of proxies."""

from collections.abc import Mapping

VARIABLES = ("NO_PROXY", "no_proxy")
"""Some libraries look at the one first, some at the other, gRPC at the second alone."""

NAMES = ("localhost", "127.0.0.1", "::1")

EVERYTHING = "*"


def spared(environ: Mapping[str, str], *others: str) -> dict[str, str]:
    """Return the variables with the person's own exceptions, loopback, and `others`."""
    found = {}
    for name in VARIABLES:
        given = environ.get(name) or next(filter(None, map(environ.get, VARIABLES)), "")
        own = [host for host in map(str.strip, given.split(",")) if host]
        more = [] if EVERYTHING in own else [*NAMES, *others]
        found[name] = ",".join(dict.fromkeys([*own, *more]))
    return found
