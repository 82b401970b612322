"""What a stack that others than this machine's clients reach leaves open to them."""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.specification.deployment import DeploymentSpec


MISSING = {
    "auth": "everybody who reaches it may read, change and delete all of it",
    "tls": "what clients send, passwords too, can be read and changed on the way",
}
"""What a server without users, or without TLS, leaves to others."""

OFF = ("0", "off", "f", "false", "n", "no")
"""Words that the specification reads as false."""


def exposures(spec: "DeploymentSpec") -> Iterator[str]:
    """Yield a warning for what a specification opens to everybody in the network."""
    values: dict[str, object] = {
        "bind": spec.bind,
        "auth": spec.auth,
        "tls": spec.tls,
        "workspaces": spec.workspaces,
        "default_permission": spec.default_permission,
    }
    if spec.kubernetes is not None:
        values["kubernetes"] = spec.kubernetes.model_dump()
    yield from exposed(values)


def is_on(value: object) -> bool:
    """Tell whether a value of `auth` or `tls`, as a stack file has it, asks for any."""
    return str(value or "none").lower() not in ("none", *OFF)


def exposed(values: Mapping[str, object]) -> Iterator[str]:
    """Yield the same for the keys of a stack file."""
    missing = [key for key in MISSING if not is_on(values.get(key))]
    bind = values.get("bind") or "127.0.0.1"
    if _is_open(str(bind)):
        yield from _warnings(f"bind: {bind}", missing)
    cluster = values.get("kubernetes")
    if isinstance(cluster, Mapping) and (host := cluster.get("ingress_host")):
        # The Ingress ends TLS itself where it has a certificate.
        ends_tls = bool(cluster.get("ingress_tls_secret"))
        left = [key for key in missing if not (key == "tls" and ends_tls)]
        yield from _warnings(f"kubernetes.ingress_host: {host}", left)
    if is_on(values.get("workspaces")) and "auth" in missing:
        yield (
            "workspaces: true: the server asks nobody who they are, so these are order and no "
            "protection: whoever names one may read, change and delete what is in it; "
            "pulumi config set auth basic"
        )
    granted = values.get("default_permission")
    if is_on(values.get("workspaces")) and is_on(values.get("auth")) and is_on(granted):
        yield (
            f"default_permission: {granted}: gives nobody a part in a workspace, in `default` "
            "neither: who uses the stack by it alone gets 403 until an administrator gives them a "
            "role there (docs/access.md)"
        )


def _is_open(address: str) -> bool:
    try:
        return not ip_address(address).is_loopback
    except ValueError:
        return False  # It is no address, which is said elsewhere.


def _warnings(what: str, missing: Iterable[str]) -> Iterator[str]:
    for key in missing:
        set_it = "auth basic" if key == "auth" else "tls true"
        yield (
            f"{what}: the server is open to others than this machine without {key}: "
            f"{MISSING[key]}; pulumi config set {set_it}"
        )
