"""The keys that MLflow encrypts by, where it looks for them.

That is the environment alone. A worker puts them there by itself: what a process begins with can
be read from outside of it (`/proc/PID/environ`, `docker top`), and is handed on to its children.
"""

import os
from pathlib import Path

FOLDER = Path("/run/secrets")

VARIABLES = {
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "webhook-key",
    "MLFLOW_CRYPTO_KEK_PASSPHRASE": "gateway-passphrase",
}
"""Names of the files by variable."""


def into_environment() -> None:
    """Set the variables of which there is a file; the entrypoint has looked at what is in them."""
    for variable, name in VARIABLES.items():
        if (FOLDER / name).exists():
            os.environ[variable] = (FOLDER / name).read_text().strip("\n")
