"""What the servers of a stack with `auth: oidc` know of its identity provider; none is secret.

Who asks is looked at in `infra/images/mlflow/stores`, which reads it.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from infra.components.secret_files import OIDC_CA, SECRETS_FOLDER

SETTINGS_FILE = PurePosixPath("/etc/mlflow-bench/oidc.json")

CALLBACK = "/oidc/callback"
"""Path of a server that the provider sends browsers back to."""


@dataclass(frozen=True, kw_only=True)
class SignOn:
    """How people and jobs are known by a provider."""

    issuer: str
    client_id: str
    audience: str
    """Whom a job's token has to be for."""
    username_claim: str
    groups_claim: str
    admin_groups: tuple[str, ...]
    allowed_groups: tuple[str, ...]
    """Empty: everybody whom the provider lets in."""
    session_seconds: int
    has_ca: bool
    """Whether a file of the secrets has its authority; False: the usual ones."""
    tls: bool
    """Whether clients reach the server by https only."""

    def files(self) -> dict[str, str]:
        """Return the files that the servers read, by path."""
        known = asdict(self)
        ca_file = f"{SECRETS_FOLDER}/{OIDC_CA}" if known.pop("has_ca") else None
        return {str(SETTINGS_FILE): json.dumps(known | {"ca_file": ca_file}, indent=2) + "\n"}

    def environment(self) -> dict[str, str]:
        """Return the variables that the servers find it by."""
        return {"MLFLOW_BENCH_OIDC_SETTINGS": str(SETTINGS_FILE)}
