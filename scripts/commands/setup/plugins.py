"""Resource plugins at the versions of their SDKs: the official ones, or those of the project.

The Kubernetes one is the official one everywhere: where its release cannot be had, it is built.
"""

import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.commands.setup.engine import Engine
from scripts.commands.setup.source import Source
from scripts.offline import kubernetes_plugin
from scripts.shared import ui
from scripts.shared.project import LOGS, PLUGINS, PULUMI_HOME, ROOT, VENV, pin
from scripts.stack import files

PART = "plugins"
BUNDLED = ROOT / "scripts" / "offline" / "plugins"
HOST = "https://get.pulumi.com"
KUBERNETES = "kubernetes"


def ensure(engine: Engine, source: Source) -> str:
    """Put every plugin into Pulumi's home; return a line that says which and why."""
    official = [] if source is Source.OFFLINE else [n for n in PLUGINS if is_official(_folder(n))]
    missing_plugins = [name for name in PLUGINS if name not in official]
    reason = "--offline was given"
    if missing_plugins and (source is Source.ONLINE or (source is Source.AUTO and missing())):
        reason = _install_official(engine, missing_plugins)
        if not reason:
            official, missing_plugins = list(PLUGINS), []
        elif source is Source.ONLINE:
            raise ui.SetupError(f"{reason}; without --online the project's own plugins are used")
    elif source is Source.AUTO:
        reason = "installed before"
    for name in missing_plugins:
        _install_bundled(name)
    return _described(official, missing_plugins, reason)


def _described(official: Sequence[str], missing_plugins: Sequence[str], reason: str) -> str:
    own = [name for name in missing_plugins if name != KUBERNETES]
    groups = [(official, "official"), (own, f"the project's own ({reason})")]
    if KUBERNETES in missing_plugins:
        how = "built from its Go module"
        if not kubernetes_built():
            how = "to be built at its first use, some minutes"
        groups.append(([KUBERNETES], f"official, {how}"))
    return "; ".join(
        ", ".join([*(f"{name} {pin(f'pulumi-{name}')}" for name in names), what])
        for names, what in groups
        if names
    )


def build_for(stacks: Iterable[str]) -> None:
    """Build the Kubernetes plugin if one of these stacks needs it and no release is installed."""
    if any(files.config(stack).get("platform") == KUBERNETES for stack in stacks):
        build_kubernetes()


def build_kubernetes() -> None:
    """Build the Kubernetes plugin if no release of it is installed."""
    if not kubernetes_built():
        ui.say(PART, kubernetes_plugin.ensure())


def kubernetes_built() -> bool:
    """Tell whether the Kubernetes plugin needs no building: it is a release, or was built."""
    return is_official(_folder(KUBERNETES)) or kubernetes_plugin.program().exists()


def bundled() -> bool:
    """Tell whether Pulumi's home has other than the releases, so that none is to be looked for."""
    return not all(is_official(_folder(name)) for name in PLUGINS)


def is_official(folder: Path) -> bool:
    """Tell an installed official plugin (a binary) from a launcher of ours (a script)."""
    plugin = next(folder.glob("pulumi-resource-*"), None)
    if plugin is None:
        return False
    with plugin.open("rb") as content:
        return content.read(2) != b"#!"


def launcher(name: str) -> str:
    """Return the script that starts a plugin with the project's own Python."""
    program = BUNDLED / f"pulumi-resource-{name}"
    return f'#!/bin/sh\nexec "{VENV}/bin/python" "{program}" "$@"\n'


def _install_bundled(name: str) -> None:
    folder = _folder(name)
    path = folder / f"pulumi-resource-{name}"
    if path.exists() and path.read_bytes() == launcher(name).encode():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path.write_text(launcher(name))
    path.chmod(0o755)


def _install_official(engine: Engine, names: Sequence[str]) -> str:
    """Install the releases of these plugins; return why they could not be, or an empty text."""
    if not engine.official:
        return "the release host is not reached"
    try:
        urllib.request.urlopen(HOST, timeout=5)
    except urllib.error.HTTPError:
        pass  # It answered.
    except OSError as error:
        return f"the release host is not reached ({getattr(error, 'reason', None) or error})"
    env = {"PULUMI_HOME": str(PULUMI_HOME), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    for name in names:
        version = pin(f"pulumi-{name}")
        shutil.rmtree(_folder(name), ignore_errors=True)
        pulumi = engine.folder / "pulumi"
        try:
            ui.run(
                PART,
                f"installing {name} {version}",
                [pulumi, "plugin", "install", "resource", name, version],
                log=LOGS / f"plugin-{name}.log",
                env=env,
                cwd=Path(os.sep),
                timeout=600,
            )
        except ui.CommandError as error:
            return str(error)
    return ""


def missing() -> list[str]:
    """Return the plugins that are not in Pulumi's home at the version of their SDK."""
    return [name for name in PLUGINS if not any(_folder(name).glob("pulumi-resource-*"))]


def _folder(name: str) -> Path:
    return PULUMI_HOME / "plugins" / f"resource-{name}-v{pin(f'pulumi-{name}')}"


if __name__ == "__main__":
    # For scripts/test: several processes would build it at once.
    sys.exit(ui.report(PART, build_kubernetes))
