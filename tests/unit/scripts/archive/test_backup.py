"""A backup's file: what is written is read, and what is not whole is refused."""

import contextlib
import hashlib
import io
import json
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest

from infra.outputs import Component
from scripts.archive import RefusedError, encryption, manifest
from scripts.archive.artifacts import AHEAD, Artifacts
from scripts.archive.database import Database
from scripts.archive.host import Host, host_of
from scripts.archive.manifest import ARTIFACTS, DATABASE, KEYS, MANIFEST, Manifest, Writer
from scripts.commands import backup
from scripts.commands.backup import main
from scripts.commands.restore import check_versions, check_workspaces
from tests.serving import Handler, serving
from tests.unit.workloads.builders import target
from workloads.target import target as stacks
from workloads.target.target import Subject

CONTENT = {DATABASE: b"a dump" * 1000, f"{ARTIFACTS}1/r1/artifacts/a b/ü.txt": b"text"}


def write(path: Path) -> Manifest:
    described = Manifest(
        stack="local",
        moment="2026-01-02T03:04:05.000+00:00",
        moment_ns=1_767_323_045_000_000_000,
        mlflow_version="3.17.2",
        postgres_version="17.11",
        schema_revision="abc",
        artifacts="s3",
    )
    writer = Writer(path, described)
    for name, content in CONTENT.items():
        file = io.BytesIO(content)
        digest = manifest.checksum(file)
        writer.add(name, file, digest)
    writer.close()
    return described


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar"
    described = write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert manifest.read(path) == described
    assert set(described.sha256) == set(CONTENT)
    found = {name: content.read() for name, content in manifest.members(path)}
    assert {name: found[name] for name in CONTENT} == CONTENT
    with pytest.raises(FileExistsError):
        write(path)


def changed(data: bytes) -> bytes:
    return data.replace(b"a dumpa", b"a dumpb", 1)


def cut(data: bytes) -> bytes:
    return data[:3000]


def without_manifest(data: bytes) -> bytes:
    return data.replace(MANIFEST.encode(), b"other.json".ljust(len(MANIFEST), b"x"))


def nothing(_: bytes) -> bytes:
    return b""


def text(_: bytes) -> bytes:
    return b"not a tar file" * 100


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (changed, "1 of 2 members are not as they were written, database.dump is the first"),
        (cut, "is no whole backup"),
        (without_manifest, "is no whole backup"),
        (nothing, "is no whole backup"),
        (text, "is no whole backup"),
    ],
)
def test_what_is_not_whole_is_refused(
    damage: Callable[[bytes], bytes], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "backup.tar"
    write(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RefusedError, match=said) as refused:
        manifest.read(path)
    assert "\n" not in str(refused.value)


def test_another_format_and_a_member_too_many_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "backup.tar"
    write(path)
    later, more = tmp_path / "later.tar", tmp_path / "more.tar"
    for out, changes in ((later, {"format": 2}), (more, {"sha256": {}})):
        with tarfile.open(out, "w") as tar:
            for name, content in manifest.members(path):
                data = content.read()
                if name == MANIFEST:
                    data = json.dumps(json.loads(data) | changes).encode()
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        with pytest.raises(RefusedError, match=r"is no whole backup|not as they were written"):
            manifest.read(out)


def test_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="No such file"):
        manifest.read(tmp_path / "none.tar")


@pytest.mark.parametrize(
    ("mlflow", "postgres", "said"),
    [
        ("3.17.2", "17.11", None),
        ("3.18.0", "18.1", None),
        ("3.17.10", "17.2", None),
        ("3.17.1", "17.11", "of mlflow 3.17.2 and the stack runs 3.17.1"),
        ("3.9.0", "17.11", "of mlflow 3.17.2 and the stack runs 3.9.0"),
        ("3.17.2", "16.4", "of PostgreSQL 17.11 and the stack runs 16.4"),
    ],
)
def test_a_backup_goes_to_what_can_read_it(
    mlflow: str, postgres: str, said: str | None, tmp_path: Path
) -> None:
    described = write(tmp_path / "backup.tar")
    if said is None:
        check_versions(described, mlflow, postgres)
    else:
        with pytest.raises(RefusedError, match=said):
            check_versions(described, mlflow, postgres)


def test_what_cannot_be_backed_up_is_said() -> None:
    external = target()
    with pytest.raises(RefusedError, match="a database of your own"):
        Database(external, host_of(external))


SIZE = 6 << 20  # more than what is kept in memory


class Store(Handler):
    """Artifacts of a tracking server, all alike."""

    names: ClassVar[list[str]] = [f"{number}.bin" for number in range(40)]
    fetched: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        name = self.path.rpartition("/artifacts/")[2]
        if name in self.names:
            self.fetched.append(name)
            body = name.encode() * (SIZE // len(name))
        else:
            files = [{"path": name, "is_dir": False} for name in self.names]
            body = json.dumps({"files": files}).encode()
        with contextlib.suppress(ConnectionError):
            self.answer(body=body)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Store.fetched.clear()
    # Nothing goes to the machine's folder for temporary files.
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with serving(Store) as address:
        yield address


def test_few_artifacts_are_ahead_of_what_is_written(store: str, tmp_path: Path) -> None:
    found = Artifacts(store).fetch(Store.names, tmp_path)
    name, content, digest = next(found)
    assert content
    with content:
        assert manifest.checksum(content) == hashlib.sha256(b"").hexdigest()  # it is at its end
        content.seek(0)
        assert manifest.checksum(content) == digest
    time.sleep(0.3)
    assert len(Store.fetched) <= AHEAD + 1
    rest = []
    for name, content, _ in found:
        assert content
        content.close()
        rest.append(name)
    assert rest == Store.names[1:]


class Dumped:
    """Stands in for a stack's PostgreSQL."""

    def __init__(self, *_: object) -> None: ...

    def dump(self, path: Path) -> None:
        path.write_bytes(b"a dump")

    def version(self) -> str:
        return "17.11"

    def has_workspaces(self) -> bool:
        return True

    def revision(self) -> str:
        return "abc"


class Replica:
    """A host with one file after another, as a replica has its keys."""

    says: ClassVar[str] = "a-key\na-phrase\n"

    def run(self, component: Component, *command: str, **_: Any) -> str:
        assert component.kind == "mlflow"
        assert command[-2:] == ("/run/secrets/webhook-key", "/run/secrets/gateway-passphrase")
        return self.says


def test_a_full_disk_is_one_line_and_leaves_nothing(
    store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    subject = Subject("local", store, target(store))
    monkeypatch.setattr(stacks, "load", lambda stack: subject)
    monkeypatch.setattr(backup, "Database", Dumped)
    monkeypatch.setattr(backup, "host_of", lambda target: Replica())
    path = tmp_path / "backup.tar"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, limits[1]))  # as a disk that is full
    try:
        assert main(["local", str(path)]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert capsys.readouterr().err == f"backup: {path}: File too large\n"
    assert list(tmp_path.iterdir()) == []
    assert main(["local", str(path)]) == 0
    described = manifest.read(path)
    assert (described.stored, len(described.sha256)) == (len(Store.names), 2 + len(Store.names))
    with pytest.raises(RefusedError, match="has workspaces and stack 'local' keeps none"):
        check_workspaces(described, target())
    check_workspaces(described, target(workspaces=True))
    found = {name: content.read() for name, content in manifest.members(path)}
    assert json.loads(found[KEYS]) == {"webhook_key": "a-key", "gateway_passphrase": "a-phrase"}
    assert list(tmp_path.iterdir()) == [path]
    other = tmp_path / "without.tar"
    assert main(["local", str(other), "--without-keys"]) == 0
    assert manifest.read(other).sha256.keys() == described.sha256.keys() - {KEYS}


def test_a_stack_of_before_has_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Replica, "says", "")
    assert encryption.read(target(), cast(Host, Replica())) is None
    with pytest.raises(RefusedError, match="keys are not as a backup has them"):
        encryption.sealed(b"{}", encryption.Keys(webhook_key="a", gateway_passphrase="b"))
