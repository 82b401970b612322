"""The keys that a stack's servers encrypt by, on their way into a backup and out of it.

A restore gives them to the schema job of the other stack, in the database and encrypted by that
stack's own: it encrypts by these what was encrypted by those, before a server sees it.
"""

from cryptography.fernet import Fernet
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infra.components.secret_files import (
    GATEWAY_PASSPHRASE_FILE,
    SECRETS_FOLDER,
    WEBHOOK_KEY_FILE,
)
from infra.outputs import Target
from scripts.archive import RefusedError
from scripts.archive.host import Host


class Keys(BaseModel):
    """As the schema job reads them, too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    webhook_key: str = Field(min_length=1, repr=False)
    gateway_passphrase: str = Field(min_length=1, repr=False)


def read(target: Target, host: Host) -> Keys | None:
    """Return the keys of a stack that runs; None: it was deployed by a version without them.

    Raises `RefusedError` if its replicas do not run.
    """
    replica = next(c for c in target.components if c.kind == "mlflow")
    files = [f"{SECRETS_FOLDER}/{name}" for name in (WEBHOOK_KEY_FILE, GATEWAY_PASSPHRASE_FILE)]
    script = 'for file; do test ! -e "$file" || { cat "$file"; echo; }; done'
    found = host.run(replica, "sh", "-ec", script, "sh", *files).split()
    if not found:
        return None
    webhook_key, passphrase = found
    return Keys(webhook_key=webhook_key, gateway_passphrase=passphrase)


def sealed(content: bytes, own: Keys) -> str:
    """Return the keys of a backup, encrypted by those of the stack that it goes to.

    Raises `RefusedError` where they are none.
    """
    try:
        keys = Keys.model_validate_json(content)
    except ValidationError:
        raise RefusedError("the backup's keys are not as a backup has them") from None
    return Fernet(own.webhook_key).encrypt(keys.model_dump_json().encode()).decode()
