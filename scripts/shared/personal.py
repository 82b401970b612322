"""What a person set of Pulumi themselves, which wins over this checkout's."""

import os
from collections.abc import Mapping
from pathlib import Path

from scripts.shared.project import PASSPHRASE


def has_passphrase(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the person set a passphrase; one of another checkout of this project is none."""
    if "PULUMI_CONFIG_PASSPHRASE" in environ:
        return True
    path = Path(environ.get("PULUMI_CONFIG_PASSPHRASE_FILE", ""))
    return path.parts != () and path.parts[-2:] != PASSPHRASE.parts[-2:]


def has_backend(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the person keeps the state somewhere else."""
    return bool(environ.get("PULUMI_BACKEND_URL"))
