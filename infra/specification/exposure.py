"""What a stack that others than this machine's clients reach leaves open to them."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address


def exposures(spec: object) -> Iterator[str]:
    """Yield a warning for what a specification opens to everybody in the network."""
    keys = ("bind", "auth", "tls")
    yield from exposed({key: getattr(spec, key, None) for key in keys})


def exposed(values: Mapping[str, object]) -> Iterator[str]:
    """Yield the same for the keys `bind`, `auth` and `tls` as a stack file has them."""
    bind = values.get("bind") or "127.0.0.1"
    try:
        if ip_address(str(bind)).is_loopback:
            return
    except ValueError:
        return  # It is no address, which is said elsewhere.
    missing = {
        "auth": "everybody who reaches it may read, change and delete all of it",
        "tls": "what clients send, passwords too, can be read and changed on the way",
    }
    for key, what in missing.items():
        if str(values.get(key) or "none").lower() in ("none", "false"):
            set_it = "auth basic" if key == "auth" else "tls true"
            yield (
                f"bind: {bind}: the server is open to others than this machine without {key}: "
                f"{what}; pulumi config set {set_it}"
            )
