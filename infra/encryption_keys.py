"""Keys that servers encrypt by what users entrust to them; of the stack, as its passwords are.

MLflow makes a key for the secrets of webhooks in each process, so that another one cannot read
them, and has a published passphrase for the keys of gateway endpoints. Those of a stack are in its
state, encrypted: the same in every replica and job, and after each restart and update.
"""

from collections.abc import Mapping

import pulumi
import pulumi_random as random

from infra.components.secret_files import GATEWAY_PASSPHRASE_FILE, WEBHOOK_KEY_FILE
from infra.names import Names
from infra.password import password

BYTES = 32
"""Of a Fernet key."""


def encryption_keys(names: Names, parent: pulumi.Resource) -> Mapping[str, pulumi.Output[str]]:
    """Declare the keys of a stack; return the files that servers read them from, by name."""
    webhooks = random.RandomBytes(
        names.logical(WEBHOOK_KEY_FILE), length=BYTES, opts=pulumi.ResourceOptions(parent=parent)
    )
    return {
        WEBHOOK_KEY_FILE: webhooks.base64.apply(fernet_key),
        GATEWAY_PASSPHRASE_FILE: password(names.logical(GATEWAY_PASSPHRASE_FILE), parent),
    }


def fernet_key(base64: str) -> str:
    """Return bytes in base64 as Fernet has them, in the alphabet for URLs."""
    return base64.translate(str.maketrans("+/", "-_"))
