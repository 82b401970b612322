"""An NFS export of one's own is described without doubt, and its server answers before anything."""

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from infra.checks import external as preflight
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.load import load_spec

EXPORT: dict[str, object] = {"kind": "nfs", "server": "nas.example.com", "path": "/exports/mlflow"}


def load(change: Mapping[str, object] | None = None, **config: str) -> DeploymentSpec:
    given = {key: value for key, value in {**EXPORT, **(change or {})}.items() if value is not None}
    values = {"artifacts": json.dumps(given), **config}
    return load_spec({f"mlflow-bench:{key}": value for key, value in values.items()}, Path.cwd())


# what is changed in EXPORT (None: left out), what the line says
BAD = [
    ({"server": None}, "artifacts.server: field required"),
    ({"server": "nas:/exports"}, "artifacts.server: is not a bare host name"),
    ({"path": "exports"}, "artifacts.path: is not the absolute path"),
    ({"path": "/exports/../etc"}, "artifacts.path: is not the absolute path"),
    ({"version": "5"}, "artifacts.version: "),
    ({"options": "nconnect=4; rm"}, "artifacts.options: is not a list of mount options"),
    ({"options": "soft,nconnect=4"}, "artifacts.options: has soft, which the deployment sets"),
    ({"option": "x"}, "artifacts.option: is not a configuration key; did you mean artifacts.opt"),
]


@pytest.mark.parametrize(("change", "line"), BAD)
def test_a_bad_export_is_one_line(change: dict[str, object], line: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(change)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_version_and_option_of_the_kernel_is_taken() -> None:
    for version in ("3", "4.0", "4.1", "4.2", 4.1):
        assert load({"version": version, "options": "nconnect=4,sec=sys"}, nfs_client="kernel")


@pytest.mark.parametrize("change", [{"version": "4.2"}, {"options": "nconnect=4"}])
def test_the_fuse_client_has_one_version_and_no_options(change: dict[str, object]) -> None:
    with pytest.raises(SpecError, match="or set nfs_client kernel"):
        load(change, nfs_client="fuse")


@pytest.mark.parametrize("key", ["nfs_memory", "nfs_image"])
def test_settings_of_the_own_server_are_of_no_use(key: str) -> None:
    value = {"nfs_memory": "1g", "nfs_image": "example.com/nfs:1"}[key]
    with pytest.raises(SpecError, match=f"{key}: is of no use: artifacts is outside the stack"):
        load(None, **{key: value})


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A server on every address of this machine, in place of port 2049."""
    with socket.create_server(("", 0)) as server:
        monkeypatch.setattr(preflight, "NFS_PORT", server.getsockname()[1])
        yield server


def own_address() -> str:
    """Return an address of this machine that is not its loopback."""
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            if one.family == socket.AF_INET and not name.startswith("lo"):
                return str(one.address)
    pytest.skip("this machine has its loopback only")


def test_a_server_that_answers_passes(listening: socket.socket) -> None:
    preflight.check_external(load({"server": own_address()}))


def test_a_server_that_does_not_answer_is_named(listening: socket.socket) -> None:
    listening.close()
    with pytest.raises(SpecError, match=r"artifacts\.server: no NFS server answers at .*refused"):
        preflight.check_external(load({"server": own_address()}))


def test_this_machines_loopback_is_refused() -> None:
    with pytest.raises(SpecError, match=r"artifacts\.server"):
        preflight.check_external(load({"server": "localhost"}))
