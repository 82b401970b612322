"""What is asked on loopback goes to no proxy, whatever the shell says of proxies."""

from collections.abc import Mapping

VARIABLES = ("NO_PROXY", "no_proxy")
"""Some libraries look at the one first, some at the other, gRPC at the second alone."""

NAMES = ("localhost", "127.0.0.1", "::1")

EVERYTHING = "*"


def spared(environ: Mapping[str, str], *others: str) -> dict[str, str]:
    """Return the variables with the person's own exceptions, loopback, and `others`."""
    variables = {}
    for name in VARIABLES:
        value = environ.get(name) or next(filter(None, map(environ.get, VARIABLES)), "")
        exceptions = [host for host in map(str.strip, value.split(",")) if host]
        added = [] if EVERYTHING in exceptions else [*NAMES, *others]
        variables[name] = ",".join(dict.fromkeys([*exceptions, *added]))
    return variables
