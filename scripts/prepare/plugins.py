"""Resource plugins at the versions of their SDKs: the official ones, or those of the project."""

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from scripts.prepare import ui
from scripts.prepare.engine import Engine
from scripts.prepare.pins import LOGS, PLUGINS, PULUMI_HOME, ROOT, VENV, pin
from scripts.prepare.source import Source

PART = "plugins"
BUNDLED = ROOT / "scripts" / "offline" / "plugins"
HOST = "https://get.pulumi.com"


def ensure(engine: Engine, source: Source) -> str:
    """Put every plugin into Pulumi's home; return a line that says which and why."""
    names = ", ".join(f"{name} {pin(f'pulumi-{name}')}" for name in PLUGINS)
    if all(is_official(_folder(name)) for name in PLUGINS) and source is not Source.OFFLINE:
        return f"{names}, official"
    reason = "--offline was given"
    if source is Source.ONLINE or (source is Source.AUTO and missing()):
        reason = _install_official(engine)
        if not reason:
            return f"{names}, official"
        if source is Source.ONLINE:
            raise ui.SetupError(f"{reason}; without --online the project's own plugins are used")
    elif source is Source.AUTO:
        reason = "installed before"
    for name in PLUGINS:
        _install_bundled(name)
    return f"{names}, the project's own ({reason})"


def bundled() -> bool:
    """Tell whether the project's own plugins are the ones in Pulumi's home."""
    return not all(is_official(_folder(name)) for name in PLUGINS)


def is_official(folder: Path) -> bool:
    """Tell an installed official plugin (a binary) from a launcher of ours (a script)."""
    plugin = next(folder.glob("pulumi-resource-*"), None)
    if plugin is None:
        return False
    with plugin.open("rb") as content:
        return content.read(2) != b"#!"


def launcher(name: str) -> str:
    """Return the script that starts a bundled plugin with the project's own Python."""
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


def _install_official(engine: Engine) -> str:
    """Install the official plugins; return why they could not be, or an empty text."""
    if not engine.official:
        return "the release host is not reached"
    try:
        urllib.request.urlopen(HOST, timeout=5)
    except urllib.error.HTTPError:
        pass  # It answered.
    except OSError as error:
        return f"the release host is not reached ({getattr(error, 'reason', None) or error})"
    env = {"PULUMI_HOME": str(PULUMI_HOME), "PULUMI_SKIP_UPDATE_CHECK": "true"}
    for name in PLUGINS:
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
