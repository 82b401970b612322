"""Which NFS client a deployment uses, and what it says when that one cannot do it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.docker import nfs_client
from infra.specification.error import SpecError
from infra.specification.load import load_spec


class Engine:
    def __init__(self, *options: str, kernel: str = "6.0") -> None:
        self._options = list(options)
        self.kernel = kernel

    def info(self) -> dict[str, Any]:
        return {"SecurityOptions": self._options, "KernelVersion": self.kernel}


Machine = Callable[..., None]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Make up a machine's files; without arguments one without any NFS client."""

    def make(
        *,
        file_systems: str = "nodev\tfuse\n\text4\n",
        modules: str = "",
        fuse: bool = True,
        system: str = "Linux",
    ) -> None:
        monkeypatch.setattr(nfs_client, "_FILE_SYSTEMS", tmp_path / "filesystems")
        monkeypatch.setattr(nfs_client, "_MODULES", tmp_path)
        monkeypatch.setattr(nfs_client, "_FUSE", tmp_path / "fuse")
        here = type("Uname", (), {"release": "6.0", "sysname": system})
        monkeypatch.setattr("os.uname", lambda: here)
        (tmp_path / "filesystems").write_text(file_systems)
        (tmp_path / "6.0").mkdir()
        (tmp_path / "6.0" / "modules.dep").write_text(modules)
        if fuse:
            (tmp_path / "fuse").touch()

    return make


def choose(engine: Engine, **config: str) -> nfs_client.Mounting:
    settings = {"artifacts": "nfs"} | config
    spec = load_spec({f"mlflow-bench:{key}": value for key, value in settings.items()}, Path.cwd())
    return nfs_client.choose(engine, spec)  # type: ignore[arg-type]


EXTERNAL = '{"kind": "nfs", "server": "nas", "path": "/mlflow", "options": "nconnect=4"}'


def test_a_kernel_without_a_client_needs_fuse(machine: Machine) -> None:
    machine(modules="kernel/fs/nfsd/nfsd.ko: kernel/fs/lockd/lockd.ko\n")
    found = choose(Engine())
    assert (found.kernel, found.apparmor) == (False, False)
    assert found.reason == "NFS is mounted by FUSE: this kernel has no NFS client"


@pytest.mark.parametrize(
    "files",
    [
        {"file_systems": "nodev\tnfs4\n"},
        {"modules": "kernel/fs/nfs/nfsv4.ko.xz: kernel/fs/nfs/nfs.ko.xz\n"},
    ],
)
def test_a_kernel_with_a_client_or_its_module_mounts(
    machine: Machine, files: dict[str, str]
) -> None:
    machine(**files)
    assert choose(Engine()).kernel
    assert not choose(Engine(), nfs_client="fuse").kernel
    assert not choose(Engine("name=rootless")).kernel


def test_an_engine_in_a_virtual_machine_gets_fuse_unless_told(machine: Machine) -> None:
    machine(file_systems="nodev\tnfs4\n", fuse=False)
    desktop = Engine(kernel="5.15.0-linuxkit")
    found = choose(desktop)
    assert not found.kernel
    assert found.reason == "NFS is mounted by FUSE: the engine's kernel is not this machine's"
    assert choose(desktop, nfs_client="kernel").kernel


def test_a_machine_without_linux_s_files_is_not_asked_for_them(machine: Machine) -> None:
    """As macOS, which has no /proc."""
    machine(system="Darwin", fuse=False)
    nfs_client._FILE_SYSTEMS.unlink()
    assert not choose(Engine()).kernel


def test_apparmor_is_noticed(machine: Machine) -> None:
    machine()
    assert choose(Engine("name=apparmor", "name=seccomp,profile=default")).apparmor


def test_a_machine_without_fuse_is_refused(machine: Machine) -> None:
    machine(fuse=False)
    with pytest.raises(SpecError, match=r"has no .*/fuse; load its module"):
        choose(Engine())


def test_settings_of_the_kernel_client_are_refused_where_it_is_missing(machine: Machine) -> None:
    machine()
    with pytest.raises(
        SpecError, match=r"artifacts\.options: the FUSE client has none.*no NFS client"
    ):
        choose(Engine(), artifacts=EXTERNAL)


def test_settings_of_the_kernel_client_are_taken_where_it_is(machine: Machine) -> None:
    machine(file_systems="nodev\tnfs4\n")
    assert choose(Engine(), artifacts=EXTERNAL).kernel
