"""Options of `run` by which clients are let in; no secret is ever an argument."""

import os
from pathlib import Path

from workloads import CannotRunError
from workloads.target import access
from workloads.target.access import Access


def access_given(
    token_file: Path | None, user: str | None, password_file: Path | None, ca_file: Path | None
) -> Access:
    """Return what the options say; raises `CannotRunError` where that cannot be."""
    if token_file and user:
        raise CannotRunError("--user: give either --token-file or --user")
    if password_file and not user:
        raise CannotRunError("--password-file: give the user, too, by --user")
    if user and ":" in user:
        raise CannotRunError("--user: leave the password out; give --password-file")
    return Access(
        ca_file=access.checked_ca(ca_file, f"--ca-file {ca_file}") if ca_file else None,
        username=user,
        password=_password(user, password_file) if user else None,
        token=_read("--token-file", token_file, "token") if token_file else None,
    )


def _password(user: str, file: Path | None) -> str:
    if file:
        return _read("--password-file", file, "password")
    if password := os.environ.get(access.PASSWORD):
        return password
    raise CannotRunError(
        f"--user {user}: its password is missing; give --password-file, or set {access.PASSWORD}"
    )


def _read(option: str, path: Path, what: str) -> str:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise CannotRunError(f"{option} {path}: {reason}") from None
    if not text:
        raise CannotRunError(f"{option} {path}: is empty; put the {what} into it")
    return text
