"""How clients are let in: the certificate authority that they trust, and their credentials.

One place for every HTTP client of a run. What a stack says of itself, or a person in options, is
put into the variables that MLflow's own client reads (`install`), and whoever asks a tracking
server beside it takes them from there (`http_options`). So processes that a run starts have them,
too. Nothing here imports `ssl`, which Locust has to patch before anyone else has it.
"""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from workloads import CannotRunError

CA_FILE = "MLFLOW_TRACKING_SERVER_CERT_PATH"
INSECURE = "MLFLOW_TRACKING_INSECURE_TLS"
USERNAME = "MLFLOW_TRACKING_USERNAME"
PASSWORD = "MLFLOW_TRACKING_PASSWORD"
TOKEN = "MLFLOW_TRACKING_TOKEN"

_PEM = b"-----BEGIN CERTIFICATE-----"

_CA, _USER, _PASSWORD, _TOKEN = "ca.crt", "username", "password", "token"
"""Names of the files that a pod reads."""


@dataclass(frozen=True)
class Access:
    """What is known beside the environment; None: not given, the environment's holds."""

    ca_file: Path | None = None
    """Certificates that the server's has to be signed by one of."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    """Bearer token, in the place of user and password."""

    def with_given(self, given: "Access") -> "Access":
        """Return what `given` has, and the rest from here."""
        own = given if given.username or given.token else self
        return Access(given.ca_file or self.ca_file, own.username, own.password, own.token)

    def files(self) -> dict[str, str]:
        """Return what a process elsewhere needs, as files by name; see `from_files`."""
        contents = {
            _CA: self.ca_file.read_text() if self.ca_file else None,
            _USER: self.username,
            _PASSWORD: self.password,
            _TOKEN: self.token,
        }
        return {name: text for name, text in contents.items() if text is not None}


def from_files(folder: Path) -> Access:
    """Return what `Access.files` had, written to `folder`; nothing if that is not there."""

    def text(name: str) -> str | None:
        return (folder / name).read_text() if (folder / name).exists() else None

    ca_file = folder / _CA
    return Access(ca_file if ca_file.exists() else None, text(_USER), text(_PASSWORD), text(_TOKEN))


def install(access: Access, environ: MutableMapping[str, str] = os.environ) -> None:
    """Put it into the variables of MLflow's client; what contradicts it there is removed."""
    if access.ca_file:
        environ[CA_FILE] = str(access.ca_file)
        environ.pop(INSECURE, None)
    if access.username:
        environ[USERNAME], environ[PASSWORD] = access.username, access.password or ""
        environ.pop(TOKEN, None)
    elif access.token:
        environ[TOKEN] = access.token
        for name in (USERNAME, PASSWORD):
            environ.pop(name, None)


@contextmanager
def trusting(
    ca_file: Path | None, environ: MutableMapping[str, str] = os.environ
) -> Iterator[None]:
    """Verify servers by `ca_file` alone meanwhile, unless that is None, and then as before."""
    before = {name: environ.get(name) for name in (CA_FILE, INSECURE)}
    install(Access(ca_file), environ)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                environ.pop(name, None)
            else:
                environ[name] = value


def effective(environ: Mapping[str, str] = os.environ) -> Access:
    """Return what the variables hold."""
    ca_file = environ.get(CA_FILE)
    return Access(
        Path(ca_file) if ca_file else None,
        environ.get(USERNAME) or None,
        environ.get(PASSWORD),
        environ.get(TOKEN) or None,
    )


def checked_ca(path: Path, where: str) -> Path:
    """Return a file of certificates; raises `CannotRunError` in the name of `where`."""
    try:
        if _PEM in path.read_bytes():
            return path.absolute()
    except OSError as error:
        raise CannotRunError(f"{where}: {error.strerror}") from None
    raise CannotRunError(f"{where}: has no certificate in PEM form in it")
