"""A running dex, with TLS, at an address that containers reach, too."""

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import docker
import requests

from tests import certificates
from tests.dex import build
from tests.images.sandbox import wait_until
from tests.ports import free_port

CLIENT, CLIENT_SECRET = "mlflow", "of-the-client-of-a-stack"
JOB, JOB_SECRET = "nightly-training", "of-the-job-of-every-night"
PASSWORD = "of-one-of-the-people"
_HASH = b"$2a$10$zCDT0dekuxSovcOKDfHJ/eqAALbPsf/AJx4cKSwGLGrJX1OBmhsky"

PEOPLE = {"ann": ["team"], "olga": ["ops"], "otto": ["others"]}
"""Names, and the groups of each."""


def address(name: str) -> str:
    """By which somebody signs in."""
    return f"{name}@example.com"


@dataclass
class Dex:
    """One, whose keys and sessions are in its memory: a new start makes new ones."""

    folder: Path
    host: str
    redirects: list[str]
    """Where it sends browsers to."""
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._program = build.ensure()
        self.files = certificates.write(self.folder / "tls", self.host)
        self._config = self.folder / "dex.json"
        self._config.write_text(json.dumps(self._settings()))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def issuer(self) -> str:
        return f"https://{self.host}:{self.port}/dex"

    def _settings(self) -> dict[str, Any]:
        people = [
            {
                "email": address(name),
                "username": name,
                "preferredUsername": name,
                "hash": base64.b64encode(_HASH).decode(),
                "userID": f"id-of-{name}",
                "groups": groups,
            }
            for name, groups in PEOPLE.items()
        ]
        client = {"id": CLIENT, "secret": CLIENT_SECRET, "name": "MLflow"}
        job = {"id": JOB, "secret": JOB_SECRET, "name": JOB}
        return {
            "issuer": self.issuer,
            "listen": f"{self.host}:{self.port}",
            "certificate": str(self.files.cert),
            "key": str(self.files.key),
            "people": people,
            "clients": [
                client | {"redirectURIs": self.redirects, "trustedPeers": [JOB]},
                job | {"clientCredentialsClaims": {"groups": ["team"]}},
            ],
        }

    def start(self) -> None:
        with (self.folder / "dex.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, self._config], stdout=log, stderr=log)
        wait_until(self._answers, 60, "dex answers")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def _answers(self) -> bool:
        url = f"{self.issuer}/.well-known/openid-configuration"
        try:
            return requests.get(url, verify=str(self.files.ca), timeout=10).ok
        except requests.RequestException:
            return False

    def token(self, name: str) -> str:
        """A token of a person, by password."""
        return self._ask((CLIENT, CLIENT_SECRET), username=address(name), password=PASSWORD)

    def job_token(self) -> str:
        """A token of the job, which no person has anything to do with."""
        audience = f"audience:server:client_id:{CLIENT}"
        return self._ask((JOB, JOB_SECRET), "client_credentials", audience)

    def _ask(
        self, client: tuple[str, str], grant: str = "password", more: str = "", **form: str
    ) -> str:
        answer = requests.post(
            f"{self.issuer}/token",
            data={"grant_type": grant, "scope": f"openid profile email groups {more}", **form},
            auth=client,
            verify=str(self.files.ca),
            timeout=60,
        )
        assert answer.ok, answer.text
        return str(answer.json()["access_token"])


def bridge_address(client: docker.DockerClient) -> str:
    """Return the address of this machine that containers of every network reach.

    An engine that was never started again does not name it: it is the first of the network.
    """
    pool, *_ = client.networks.get("bridge").attrs["IPAM"]["Config"]
    return str(pool.get("Gateway") or next(ip_network(pool["Subnet"]).hosts()))


@contextmanager
def running(folder: Path, host: str, *origins: str) -> Iterator[Dex]:
    """Have one that signs people in for stacks at these addresses, `https://localhost:5000`."""
    dex = Dex(folder, host, [f"{origin}/oidc/callback" for origin in origins])
    dex.start()
    try:
        yield dex
    finally:
        dex.stop()
