"""What a stack that others than this machine's clients reach leaves open to them."""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.specification.deployment import DeploymentSpec


def exposures(spec: "DeploymentSpec") -> Iterator[str]:
    """Yield a warning for what a specification opens to everybody in the network."""
    yield from exposed({"bind": spec.bind, "auth": spec.auth, "tls": spec.tls})


def is_on(value: object) -> bool:
    """Tell whether a value of `auth` or `tls`, as a stack file has it, asks for any."""
    return str(value or "none").lower() not in ("none", "false")


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
        if not is_on(values.get(key)):
            set_it = "auth basic" if key == "auth" else "tls true"
            yield (
                f"bind: {bind}: the server is open to others than this machine without {key}: "
                f"{what}; pulumi config set {set_it}"
            )
