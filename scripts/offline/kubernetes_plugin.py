"""Pulumi's official Kubernetes plugin, built from its Go module and kept in the person's cache.

For places that reach package registries only. It takes minutes, so nothing builds it that does
not deploy to a cluster: `scripts/bench`, `scripts/ci` and the tests do it beforehand, and otherwise
`plugins/pulumi-resource-kubernetes` at its first use.
"""

import hashlib
import shutil
import sys
from pathlib import Path

from scripts.shared import go, machine, ui
from scripts.shared.project import CACHE, LOGS, pin

PART = "plugins"
SOURCE = Path(__file__).parent / "modules" / "kubernetes_plugin"
PROGRAM = "pulumi-resource-kubernetes"


def program() -> Path:
    """Return where the plugin of exactly these sources is, or will be."""
    digest = hashlib.sha256()
    for path in sorted(SOURCE.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return CACHE / f"kubernetes-plugin-{_version()}-{digest.hexdigest()[:8]}" / PROGRAM


def ensure() -> str:
    """Build it if it is missing; return a line that says what was done.

    A build that was interrupted goes on where it was: Go keeps every package that it compiled.
    """
    cached = f"kubernetes {_version()}, official, built from its Go module (cached)"
    if program().exists():
        return cached
    with machine.one_at_a_time(PART) as scratch:
        if program().exists():
            return cached
        ui.say(PART, f"building kubernetes {_version()} from its Go module, some minutes, once")
        took = _build(program(), scratch)
    return f"kubernetes {_version()}, official, built from its Go module in {ui.elapsed(took)}"


def _version() -> str:
    return pin("pulumi-kubernetes")


def _build(target: Path, scratch: Path) -> float:
    compiler, took = go.find()
    source, parts = scratch / "source", scratch / "parts"
    shutil.copytree(SOURCE, source)
    build = ["nice", "-n", "10", str(compiler), "build", "-v", "-trimpath"]
    stamp = f"-s -w -X main.version={_version()}"
    took += ui.run(
        PART,
        "compiling kubernetes",
        [*build, "-ldflags", stamp, "-o", parts / PROGRAM],
        log=LOGS / "plugin-kubernetes.log",
        env=go.ENVIRONMENT,
        cwd=source,
        detail=go.progress,
    )
    target.parent.parent.mkdir(exist_ok=True)
    parts.rename(target.parent)
    return took


if __name__ == "__main__":
    sys.exit(ui.report(PART, lambda: ui.say(PART, ensure())))
