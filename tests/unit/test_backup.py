"""A backup's file: what is written is read, and what is not whole is refused."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.archive import RefusedError, manifest
from scripts.archive.database import Database
from scripts.archive.host import host_of
from scripts.archive.manifest import ARTIFACTS, DATABASE, MANIFEST, Manifest, Writer
from scripts.archive.put_back import check_versions
from tests.unit.workloads.builders import target

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
