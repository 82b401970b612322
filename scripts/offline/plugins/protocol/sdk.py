"""Facts about the installed SDK packages."""

import json
import sysconfig
from pathlib import Path


def sdk_version(package: str) -> str:
    """The version of an SDK package such as `pulumi_docker`, without importing it."""
    manifest = Path(sysconfig.get_path("purelib"), package, "pulumi-plugin.json")
    version: str = json.loads(manifest.read_text())["version"]
    return version
