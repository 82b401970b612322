"""The choice of an engine, and the official release held to its checksums."""

import hashlib
import http.server
import io
import subprocess
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from scripts.commands.setup import engine
from scripts.offline.engine import MODULES
from scripts.shared import go, project, ui
from tests.serving import Handler, serving

ARCHIVE = "pulumi-v3.256.0-linux-x64.tar.gz"


def put_pulumi(folder: Path, prints: str, language_host: bool = True) -> None:
    folder.mkdir(exist_ok=True)
    names = {"pulumi": f"echo '{prints}'"}
    if language_host:
        names[engine.LANGUAGE_HOST] = "exit 1"
    for name, body in names.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)


@pytest.mark.parametrize("prints", ["v3.256.0", "v3.300.1", "v3.256.1-alpha.1"])
def test_an_engine_on_path_that_is_new_enough_is_taken(tmp_path: Path, prints: str) -> None:
    put_pulumi(tmp_path / "bin", prints)
    found = engine.on_path(f"/nowhere:{tmp_path / 'bin'}", "3.256.0")
    assert found is not None
    assert found.folder == tmp_path / "bin"
    assert prints in found.why


@pytest.mark.parametrize("prints", ["v3.255.9", "v4.0.0", "", "unknown"])
def test_an_engine_on_path_that_is_old_or_unstamped_is_passed_over(
    tmp_path: Path, prints: str
) -> None:
    put_pulumi(tmp_path / "bin", prints)
    assert engine.on_path(str(tmp_path / "bin"), "3.256.0") is None


def test_an_engine_without_its_language_host_is_passed_over(tmp_path: Path) -> None:
    put_pulumi(tmp_path / "bin", "v3.256.0", language_host=False)
    assert engine.on_path(str(tmp_path / "bin"), "3.256.0") is None


def test_an_engine_of_our_own_cache_does_not_count_as_the_persons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CACHE", tmp_path)
    put_pulumi(tmp_path / "pulumi-3.256.0-modules", "v3.256.0")
    assert engine.on_path(str(tmp_path / "pulumi-3.256.0-modules"), "3.256.0") is None


@pytest.mark.parametrize(
    ("system", "processor", "name"),
    [
        ("Linux", "x86_64", ARCHIVE),
        ("Linux", "aarch64", "pulumi-v3.256.0-linux-arm64.tar.gz"),
        ("Darwin", "arm64", "pulumi-v3.256.0-darwin-arm64.tar.gz"),
    ],
)
def test_the_archive_is_named_by_system_and_processor(
    system: str, processor: str, name: str
) -> None:
    assert engine.release_archive("3.256.0", system, processor) == name


def test_a_processor_without_a_release_is_told_by_a_key_error() -> None:
    with pytest.raises(KeyError):
        engine.release_archive("3.256.0", "Linux", "riscv64")


class Files(Handler, http.server.SimpleHTTPRequestHandler):
    """Serves the files of a folder."""


@pytest.fixture
def release_host(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "host"
    folder.mkdir()
    program = b"#!/bin/sh\necho v3.256.0\n"
    with tarfile.open(folder / ARCHIVE, "w:gz") as bundle:
        member = tarfile.TarInfo("pulumi/pulumi")
        member.size, member.mode = len(program), 0o755
        bundle.addfile(member, io.BytesIO(program))
    digest = hashlib.sha256((folder / ARCHIVE).read_bytes()).hexdigest()
    (folder / "pulumi-3.256.0-checksums.txt").write_text(
        f"{'0' * 64}  other\n{digest}  {ARCHIVE}\n"
    )
    with serving(partial(Files, directory=str(folder))) as address:
        yield folder, address


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine, "LOGS", tmp_path / "logs")
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def test_a_release_is_fetched_checked_and_unpacked(
    release_host: tuple[Path, str], tmp_path: Path, scratch: Path
) -> None:
    target = tmp_path / "pulumi-3.256.0-release"
    engine.download(release_host[1], "3.256.0", ARCHIVE, target, scratch)
    assert subprocess.check_output([target / "pulumi"], text=True) == "v3.256.0\n"


def test_a_release_with_another_checksum_is_refused_and_leaves_nothing(
    release_host: tuple[Path, str], tmp_path: Path, scratch: Path
) -> None:
    with (release_host[0] / ARCHIVE).open("ab") as archive:
        archive.write(b"changed on its way")
    target = tmp_path / "pulumi-3.256.0-release"
    with pytest.raises(ui.SetupError, match=f"{ARCHIVE} has the checksum .* do not use it"):
        engine.download(release_host[1], "3.256.0", ARCHIVE, target, scratch)
    assert not target.exists()


def test_an_archive_that_the_checksums_do_not_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(b"anything")
    with pytest.raises(ui.SetupError, match="published is none"):
        engine.check(tmp_path / ARCHIVE, f"{'0' * 64}  another.tar.gz\n")


def test_a_host_that_does_not_have_the_release_is_not_reached(
    release_host: tuple[Path, str], tmp_path: Path, scratch: Path
) -> None:
    with pytest.raises(OSError, match="404"):
        engine.download(release_host[1], "3.999.0", ARCHIVE, tmp_path / "x", scratch)


def test_the_module_that_is_built_has_the_pinned_version() -> None:
    module = (MODULES / "engine" / "go.mod").read_text()
    assert f"require github.com/pulumi/pulumi/pkg/v3 v{project.pin('pulumi')}\n" in module


def test_the_go_that_is_asked_for_is_the_one_the_module_needs() -> None:
    module = (MODULES / "engine" / "go.mod").read_text()
    assert f"\ngo {'.'.join(map(str, project.GO_NEEDED))}\n" in module
    assert go.is_new_enough(f"go version go{project.GO_WHEEL} linux/amd64")


@pytest.mark.parametrize(
    ("printed", "enough"),
    [
        ("go version go1.26.8 linux/amd64", True),
        ("go version go1.25.11 linux/amd64", True),
        ("go version go1.25 linux/amd64", False),
        ("go version go1.19.8 linux/amd64", False),
        ("go version devel go1.27-abc linux/amd64", False),
        ("", False),
    ],
)
def test_a_go_that_is_too_old_or_unknown_does_not_count(printed: str, enough: bool) -> None:
    assert go.is_new_enough(printed) is enough
