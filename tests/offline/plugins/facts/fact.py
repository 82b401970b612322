"""A fact about the official plugins, and the program in which it is seen."""

from collections.abc import Iterable
from dataclasses import dataclass

# What a program of facts begins with, after the prelude of `tests.offline.plugins.project`.
HELPERS = """
A = docker

def subnet(number, host=0, bits=28):
    group, place = divmod(number, 16)
    second = 251 if group else 200 + int(RUN[:2], 16) % 50
    address = f"10.{second}.{int(RUN[2:4], 16)}.{place * 16 + host}"
    return f"{address}/{bits}" if bits else address

def pool(number, **more):
    return [A.NetworkIpamConfigArgs(subnet=subnet(number), **more)]

def pool6(number):
    return A.NetworkIpamConfigArgs(subnet=f"fd{number:02d}:{RUN[:4]}::/64")

def marked(kind):
    kind = getattr(A, f"{kind}LabelArgs")
    return [*labels(kind), kind(label="x", value="1")]

def health(**settings):
    return A.ContainerHealthcheckArgs(**dict(tests=["CMD", "true"]) | settings)

def port(internal, external=None, **more):
    return A.ContainerPortArgs(internal=internal, external=external, **more)

def upload(file, content="k", **more):
    return A.ContainerUploadArgs(file=file, content=content, **more)

def at(*paths):
    return [A.ContainerVolumeArgs(container_path=path) for path in paths]

def mount(target="/run", **settings):
    return A.ContainerMountArgs(target=target, **dict(type="tmpfs") | settings)

def caps(**lists):
    return A.ContainerCapabilitiesArgs(**lists)

def named(suffix):
    return f"mlflow-bench-test-{RUN}-{suffix}"

def join(network, **settings):
    return A.ContainerNetworksAdvancedArgs(name=network.name, **settings)

def declare(kind, name, settings):
    base = {}
    if kind == "Container":
        # Most facts need no process.
        base = dict(image=IMAGE, command=["sleep", "600"], start=False, must_run=False)
    if kind in ("Container", "Network", "Volume"):
        base["labels"] = labels(getattr(A, f"{kind}LabelArgs"))
    module = random if kind.startswith("Random") else A
    return getattr(module, kind)(name, **(base | settings))

NETS = [
    declare("Network", f"shared-{number}", dict(
        name=named(f"shared-{number}"), ipam_configs=pool(number), internal=number == 18,
    ))
    for number in (16, 17, 18)
]

"""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """What the official plugin does with a resource, and whether the bundled one follows.

    Without anything else said, the resource is created, and then neither a preview nor a refresh
    shows a change.
    """

    name: str
    says: str
    kind: str = "Container"
    first: str = ""
    """The settings, as keyword arguments in Python."""
    then: str | None = None
    """Other settings for the same resource."""
    change: str = ""
    """What those do: `replace`, `update`, `in vain` (said to be an update, reaching nothing), or
    `none` (no change at all)."""
    shows: str = ""
    """The property that is shown as a change for ever, with `first` as it is."""
    refused: str = ""
    """Words by which the official plugin refuses `first`."""
    bundled: str = ""
    """Words by which the bundled plugin refuses, where that is not known from the above."""

    at_creation: bool = False
    """Whether only Docker can tell: the bundled plugin refuses when it creates, not before."""

    @property
    def refusal(self) -> str:
        """Words by which the bundled plugin refuses; empty where it does as the official one."""
        known = {"in vain": "cannot change in place", "none": "was left out"}
        return self.bundled or known.get(self.change, "")

    @property
    def refuses_at_once(self) -> bool:
        """Whether the bundled plugin refuses `first`, and not only the change."""
        return bool(self.refusal and self.then is None)


def program(facts: Iterable[Fact], image: str, *, changed: bool = False) -> str:
    """The program that declares a resource for each fact."""
    lines = [HELPERS, f"IMAGE = {image!r}\n"]
    for fact in facts:
        settings = fact.then if changed and fact.then is not None else fact.first
        lines.append(f"declare({fact.kind!r}, {fact.name!r}, dict({settings}))\n")
    return "".join(lines)
