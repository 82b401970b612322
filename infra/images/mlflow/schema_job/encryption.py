"""What is encrypted by keys that the servers do not have is encrypted by theirs.

So it is after the first update of a deployment that had no keys of its own (MLflow's passphrase for
the gateway's keys is published, and each process made a key for the webhooks' secrets), and after a
restore, which leaves the keys of the backup in the record, encrypted by this deployment's own.
"""

# mypy: allow-untyped-calls

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from cryptography.fernet import Fernet, InvalidToken
from mlflow.exceptions import MlflowException
from mlflow.utils import crypto
from sqlalchemy import Connection, text

from .messages import FailureError, say
from .record import SCHEMA

WEBHOOK_KEY = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"

_FORMER = text(f"SELECT to_jsonb(deployment) ->> 'former_keys' FROM {SCHEMA}.deployment")  # noqa: S608
_FORGET = text(f"ALTER TABLE {SCHEMA}.deployment DROP COLUMN IF EXISTS former_keys")


@dataclass(frozen=True)
class Keys:
    """By which a deployment encrypts; in the record they are JSON with these names."""

    webhook_key: str
    gateway_passphrase: str


def adopt(connection: Connection) -> None:
    """Encrypt by the servers' keys what is encrypted by former ones, within the transaction.

    What can be read by none of them stays as it is, and is named. Raises `FailureError` if the keys
    of a backup are not encrypted by those of this deployment.
    """
    keys = _own()
    if keys is None:
        return
    former = _former(connection, keys)
    _webhooks(connection, keys, former)
    _gateway(connection, keys, former)
    connection.execute(_FORGET)


def _own() -> Keys | None:
    """Return the keys of the environment, which servers have, too; None: they have none."""
    webhook_key = os.environ.get(WEBHOOK_KEY)
    passphrase = os.environ.get(crypto.CRYPTO_KEK_PASSPHRASE_ENV_VAR)
    return Keys(webhook_key, passphrase) if webhook_key and passphrase else None


def _former(connection: Connection, keys: Keys) -> Keys | None:
    token = connection.scalar(_FORMER)
    if token is None:
        return None
    try:
        return Keys(**json.loads(Fernet(keys.webhook_key).decrypt(token.encode())))
    except InvalidToken as error:
        raise FailureError(
            "the keys of the backup are not encrypted by this deployment's: restore again, into a "
            "new one"
        ) from error


def _webhooks(connection: Connection, keys: Keys, former: Keys | None) -> None:
    now = Fernet(keys.webhook_key)
    before = [Fernet(former.webhook_key)] if former else []
    rows = connection.execute(
        text(
            "SELECT webhook_id, name, secret FROM webhooks WHERE secret IS NOT NULL"
            " AND deleted_timestamp IS NULL ORDER BY name FOR UPDATE"
        )
    ).all()
    lost = []
    for webhook_id, name, secret in rows:
        read = [cipher.decrypt for cipher in (now, *before)]
        found = _first(read, secret.encode(), InvalidToken)
        if found is None:
            lost.append(name)
        elif found[0]:
            connection.execute(
                text("UPDATE webhooks SET secret = :secret WHERE webhook_id = :id"),
                {"secret": now.encrypt(found[1]).decode(), "id": webhook_id},
            )
    _tell(lost, "webhooks", "they are not delivered until their secrets are set again")


def _gateway(connection: Connection, keys: Keys, former: Keys | None) -> None:
    version = int(os.environ.get(crypto.CRYPTO_KEK_VERSION_ENV_VAR, "1"))
    passphrases = [keys.gateway_passphrase, crypto.DEFAULT_KEK_PASSPHRASE]
    if former:
        passphrases.insert(1, former.gateway_passphrase)

    # Each takes a quarter of a second to derive, on purpose.
    @cache
    def key(passphrase: str, version: int) -> bytes:
        derived: bytes = crypto.KEKManager(passphrase, version).get_kek()
        return derived

    rows = connection.execute(
        text(
            "SELECT secret_id, secret_name, wrapped_dek, kek_version FROM secrets"
            " ORDER BY secret_name FOR UPDATE"
        )
    ).all()
    lost = []
    for secret_id, name, wrapped, wrapped_version in rows:
        keks = [(passphrases[0], version), *((p, wrapped_version) for p in passphrases[1:])]
        read = [lambda dek, kek=kek: crypto.unwrap_dek(dek, key(*kek)) for kek in keks]
        found = _first(read, bytes(wrapped), MlflowException)
        if found is None:
            lost.append(name)
        elif found[0]:
            connection.execute(
                text(
                    "UPDATE secrets SET wrapped_dek = :dek, kek_version = :version"
                    " WHERE secret_id = :id"
                ),
                {
                    "dek": crypto.wrap_dek(found[1], key(passphrases[0], version)),
                    "version": version,
                    "id": secret_id,
                },
            )
    _tell(lost, "gateway secrets", "endpoints with them fail until they are set again")


def _first(
    read: Iterable[Callable[[bytes], bytes]], cipher: bytes, wrong: type[Exception]
) -> tuple[int, bytes] | None:
    """Return which of the ways can read `cipher`, and the text; None: none of them."""
    for number, way in enumerate(read):
        try:
            return number, way(cipher)
        except wrong:
            continue
    return None


def _tell(names: list[str], what: str, remedy: str) -> None:
    if names:
        some = ", ".join(repr(name) for name in names[:5]) + (", …" if len(names) > 5 else "")
        say(f"warning: {len(names)} {what} were encrypted by a key that is lost ({some}): {remedy}")
