"""A webhook whose secret cannot be read is listed, changed and deleted as any other.

MLflow answers 500 to each of these, and to the list of all webhooks. Such a webhook is one of a
time when each process had a key of its own, or of a database that came without its keys. It is
never sent: without a signature its receiver could not tell it from a forgery.
"""

# mypy: allow-untyped-calls

from typing import Any

from cryptography.fernet import InvalidToken
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import EncryptedString
from mlflow.webhooks import delivery

LOST = (
    "The secret of this webhook was encrypted by a key that the server does not have any more: "
    "update the webhook with its secret."
)


class LostSecret(str):
    """In the place of a secret that cannot be read."""

    __slots__ = ()


def live_without_lost_secrets() -> None:
    """Have MLflow's store read what it cannot decrypt as lost, and its delivery refuse to sign."""
    read, sign = EncryptedString.process_result_value, delivery._generate_hmac_signature

    def readable(self: EncryptedString, value: str | None, dialect: Any) -> str | None:
        try:
            secret: str | None = read(self, value, dialect)
        except InvalidToken:
            # Not empty, which would be a webhook without a secret.
            return LostSecret("lost")
        return secret

    def signed(secret: str, *args: Any, **kwargs: Any) -> str:
        if isinstance(secret, LostSecret):
            raise MlflowException.invalid_parameter_value(LOST)
        signature: str = sign(secret, *args, **kwargs)
        return signature

    EncryptedString.process_result_value = readable  # type: ignore[method-assign]
    delivery._generate_hmac_signature = signed
