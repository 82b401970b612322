"""The cluster's programs, built from Go modules and kept in the user's cache."""

import hashlib
import re
import shutil
from pathlib import Path

from scripts.shared import go, machine, ui
from scripts.shared.project import CACHE, LOGS

PART = "cluster"
SOURCE = Path(__file__).parents[1] / "modules" / "kubernetes"
NETWORK_PLUGINS = tuple(
    f"github.com/containernetworking/plugins/plugins/{name}"
    for name in ("ipam/host-local", "main/loopback", "main/ptp")
)


def folder() -> Path:
    """Return where the programs of exactly these sources are, or will be."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.rglob("*.*")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return CACHE / f"kubernetes-{version()}-{digest.hexdigest()[:8]}"


def version() -> str:
    """Return the release of Kubernetes, as `1.36.3`."""
    match = re.search(r"k8s\.io/kubernetes v(\S+)", (SOURCE / "go.mod").read_text())
    if not match:
        raise ui.SetupError(f"{SOURCE / 'go.mod'} names no k8s.io/kubernetes")
    return match[1]


def ensure() -> str:
    """Build what is missing; return a line that says what was done.

    A build that was interrupted goes on where it was: Go keeps every package that it compiled.
    """
    target = folder()
    cached = f"Kubernetes {version()}, built from Go modules (cached)"
    if target.exists():
        return cached
    with machine.one_at_a_time(PART) as scratch:
        if target.exists():
            return cached
        ui.say(PART, f"building Kubernetes {version()} from Go modules, some minutes, once")
        took = _build(target, scratch)
    return f"Kubernetes {version()}, built from Go modules in {ui.elapsed(took)}"


def _build(target: Path, scratch: Path) -> float:
    needed = re.search(r"^go (\S+)$", (SOURCE / "go.mod").read_text(), re.MULTILINE)
    assert needed
    compiler, took = go.find(tuple(int(part) for part in needed[1].split(".")))
    source, parts = scratch / "kubernetes", scratch / "parts"
    shutil.copytree(SOURCE, source)
    (parts / "cni").mkdir(parents=True)
    stamp = f"-s -w -X k8s.io/component-base/version.gitVersion=v{version()}"
    steps = {
        "Kubernetes": ["-o", f"{parts}/", ".", "./pause"],
        "network plugins": ["-o", f"{parts}/cni/", *NETWORK_PLUGINS],
    }
    for what, options in steps.items():
        took += ui.run(
            PART,
            f"compiling {what}",
            ["nice", "-n", "10", compiler, "build", "-v", "-trimpath", "-ldflags", stamp, *options],
            log=LOGS / f"cluster-{what.split()[0].lower()}.log",
            env=go.ENVIRONMENT,
            cwd=source,
            detail=go.progress,
        )
    (parts / "kubectl").symlink_to("cluster")
    printed = machine.output([parts / "kubectl", "version", "--client", "-o", "yaml"]) or "nothing"
    if f"v{version()}" not in printed:
        raise ui.SetupError(f"the kubectl that was built prints {printed!r}, not v{version()}")
    parts.rename(target)
    return took
