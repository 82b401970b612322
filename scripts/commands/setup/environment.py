"""The variables that the tools need, and what of the person's own stays."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from infra import loopback
from scripts.offline.test_cluster.layout import NODE, kubeconfig_path
from scripts.shared import personal
from scripts.shared.project import CACHE, PASSPHRASE, PULUMI_HOME, VENV


def variables(
    environ: Mapping[str, str], engine: Path, bundled_plugins: bool, docker_host: str
) -> dict[str, str]:
    """Return what is to be set on top of `environ`.

    A person's own backend (`PULUMI_BACKEND_URL`), passphrase, Docker host and proxies stay as
    they are; loopback and the test cluster are asked without a proxy.

    Args:
        environ: the environment so far, perhaps one that was prepared before.
        engine: folder of the engine.
        bundled_plugins: the project's own plugins serve; none is to be looked for elsewhere.
        docker_host: address of the Docker engine where it is not the default one, else empty.
    """
    first = [str(VENV / "bin"), str(engine)]
    rest = [
        folder
        for folder in environ.get("PATH", "").split(os.pathsep)
        if folder not in first and not Path(folder).is_relative_to(CACHE)
    ]
    values = {
        "PATH": os.pathsep.join(first + rest),
        "VIRTUAL_ENV": str(VENV),
        "PULUMI_HOME": str(PULUMI_HOME),
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        # The person's own come first, and the test cluster's makes no context the current one.
        "KUBECONFIG": kubeconfig_path(environ.get("KUBECONFIG", "")),
        **loopback.spared(environ, str(NODE)),
    }
    if bundled_plugins:
        values["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    if docker_host and not environ.get("DOCKER_HOST"):
        values["DOCKER_HOST"] = docker_host
    if not personal.has_passphrase(environ):
        values["PULUMI_CONFIG_PASSPHRASE_FILE"] = str(PASSPHRASE)
    if environ.get("PULUMI_BACKEND_URL"):
        # The person's log-in to that backend lies in their own home of Pulumi.
        home = environ.get("PULUMI_HOME", "")
        own = home if home and home != str(PULUMI_HOME) else str(Path("~/.pulumi").expanduser())
        values["PULUMI_CREDENTIALS_PATH"] = environ.get("PULUMI_CREDENTIALS_PATH", own)
    return values


def exports(values: Mapping[str, str]) -> str:
    """Return the values as lines that bash and zsh evaluate."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
