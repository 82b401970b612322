"""Staging of build contexts: same content, same tag; every change another; clear refusals."""

import os
import re
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from infra import releases
from infra.image import context as build_context
from infra.image.context import IMAGES, BuildContextError, find_ca_bundle, names, stage
from infra.specification.deployment import DeploymentSpec


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source folder that looks like mlflow's."""
    folder = tmp_path / "src"
    for name, text in {
        "pyproject.toml": '[project]\nname = "mlflow"\n',
        "mlflow/__init__.py": "",
        "mlflow/version.py": 'VERSION = "3.0"\n',
        "mlflow/server/js/build/index.html": "built",
        "tests/test_it.py": "",
        "mlflow/__pycache__/version.pyc": "",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def wheel(folder: Path, name: str = "mlflow-3.0-py3-none-any.whl", content: str = "1") -> Path:
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("mlflow/version.py", content)
    return folder / name


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def content(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("image", ["postgres", "mlflow"])
def test_same_content_keeps_the_folder_and_the_tag(tmp_path: Path, image: str) -> None:
    first = stage(image, tmp_path, ca_bundle=None)
    inodes = {path: path.stat().st_ino for path in first.path.rglob("*")}
    assert stage(image, tmp_path, ca_bundle=None) == first
    assert {path: path.stat().st_ino for path in first.path.rglob("*")} == inodes
    assert re.fullmatch(rf"mlflow-bench/{image}:[0-9a-f]{{12}}", first.tag)
    assert list(tmp_path.iterdir()) == [first.path]


def test_the_tag_depends_on_neither_times_nor_modes_nor_place(tmp_path: Path, source: Path) -> None:
    first = stage("mlflow", tmp_path / "one", ca_bundle=None, mlflow_source=source)
    os.utime(source / "mlflow/version.py", (1, 1))
    (source / "mlflow/version.py").chmod(0o600)
    moved = source.rename(tmp_path / "moved")
    second = stage("mlflow", tmp_path / "two", ca_bundle=None, mlflow_source=moved)
    assert first.tag == second.tag


def test_the_context_holds_what_the_dockerfile_copies(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificate")
    context = stage("mlflow", tmp_path / "build", ca_bundle=bundle).path
    assert (context / "ca-bundle.crt").read_text() == "certificate"
    assert (context / "own").is_dir()
    constraints = (context / "constraints.txt").read_text().splitlines()
    assert any(line.startswith("mlflow==") for line in constraints)
    assert all("==" in line and "#" not in line for line in constraints)
    assert os.access(context / "entrypoint", os.X_OK)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file's content": lambda f: (f / "mlflow/version.py").write_text('VERSION = "3.1"\n'),
    "a new file": lambda f: (f / "mlflow/new.py").write_text(""),
    "a removed file": lambda f: (f / "mlflow/__init__.py").unlink(),
    "a renamed file": lambda f: (f / "mlflow/version.py").rename(f / "mlflow/release.py"),
    "the executable bit": lambda f: (f / "mlflow/version.py").chmod(0o755),
    "a link": lambda f: (f / "mlflow/link").symlink_to("version.py"),
    "the built interface": lambda f: (f / "mlflow/server/js/build/index.html").write_text("2"),
}


@pytest.mark.parametrize("in_git", [False, True], ids=["folder", "git"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_source_changes_the_tag(
    tmp_path: Path, source: Path, change: Callable[[Path], object], in_git: bool
) -> None:
    if in_git:
        (source / ".gitignore").write_text("build/\n__pycache__/\n")
        git(source, "init")
        git(source, "add", ".")
        git(source, "commit", "-m", "all")
    before = stage("mlflow", tmp_path / "build", ca_bundle=None, mlflow_source=source)
    change(source)
    after = stage("mlflow", tmp_path / "build", ca_bundle=None, mlflow_source=source)
    assert before.tag != after.tag


@pytest.mark.parametrize("in_git", [False, True], ids=["folder", "git"])
def test_what_is_not_installed_changes_nothing(tmp_path: Path, source: Path, in_git: bool) -> None:
    if in_git:
        (source / ".gitignore").write_text("*.log\n__pycache__/\n")
        git(source, "init")
    before = stage("mlflow", tmp_path / "build", ca_bundle=None, mlflow_source=source)
    (source / "tests/test_it.py").write_text("assert True")
    (source / "mlflow/__pycache__/version.pyc").write_text("2")
    if in_git:
        (source / "mlflow/debug.log").write_text("ignored")
    after = stage("mlflow", tmp_path / "build", ca_bundle=None, mlflow_source=source)
    assert before == after
    assert "own/mlflow/mlflow/version.py" in content(after.path)
    assert not any("tests" in name or "pyc" in name for name in content(after.path))


def test_a_wheel_is_taken_and_its_change_seen(tmp_path: Path) -> None:
    first = stage("mlflow", tmp_path / "b", ca_bundle=None, mlflow_source=wheel(tmp_path))
    changed = wheel(tmp_path, content="2")
    second = stage("mlflow", tmp_path / "b", ca_bundle=None, mlflow_source=changed)
    assert first.tag != second.tag
    assert f"own/{changed.name}" in content(second.path)


def test_the_certificates_change_the_context_and_not_the_tag(tmp_path: Path) -> None:
    """Machines with other certificates have the same images, which a registry holds for all."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificate")
    found = {
        (image, given): stage(image, tmp_path / "build", ca_bundle=given)
        for image in ("mlflow", "postgres")
        for given in (None, bundle)
    }
    assert found["mlflow", None].path != found["mlflow", bundle].path
    assert found["mlflow", None].tag == found["mlflow", bundle].tag
    assert found["postgres", None] == found["postgres", bundle]


def test_the_base_image_changes_the_tag_and_stands_in_the_dockerfile(tmp_path: Path) -> None:
    for image in names():
        usual = stage(image, tmp_path, ca_bundle=None)
        assert usual.name == image
        assert usual.base == DeploymentSpec().base_image
        assert stage(image, tmp_path, ca_bundle=None, base=usual.base) == usual
        other = stage(image, tmp_path, ca_bundle=None, base="example.com/debian:13")
        assert other.tag != usual.tag
        assert other.base == "example.com/debian:13"
        lines = (other.path / "Dockerfile").read_text().splitlines()
        assert "ARG BASE=example.com/debian:13" in lines
        assert not any(usual.base in line for line in lines)


def test_the_name_in_a_registry_has_the_tag(tmp_path: Path) -> None:
    context = stage("nginx", tmp_path, ca_bundle=None)
    digest = context.tag.removeprefix("mlflow-bench/nginx:")
    assert context.in_registry("example.com:5000/team") == f"example.com:5000/team/nginx:{digest}"


def test_the_load_is_another_image_when_its_code_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_context, "PROJECT", tmp_path / "project")
    code = plain_file(tmp_path, "project/workloads/users/person.py")
    plain_file(tmp_path, "project/infra/__init__.py")
    kubeconfig = plain_file(tmp_path, "project/infra/kubeconfig.py")
    labels = plain_file(tmp_path, "project/infra/labels.py")
    contract = plain_file(tmp_path, "project/infra/outputs.py")
    reader = plain_file(tmp_path, "project/infra/stack_file.py")
    plain_file(tmp_path, "project/infra/__main__.py")
    tags = [stage("workload", tmp_path / "build", ca_bundle=None).tag]
    for file in (code, kubeconfig, labels, contract, reader):
        file.write_text("changed = True")
        context = stage("workload", tmp_path / "build", ca_bundle=None)
        tags.append(context.tag)
    assert len(set(tags)) == 6
    assert {name for name in content(context.path) if name.startswith("project/")} == {
        "project/workloads/users/person.py",
        "project/infra/__init__.py",
        "project/infra/kubeconfig.py",
        "project/infra/labels.py",
        "project/infra/outputs.py",
        "project/infra/stack_file.py",
    }


def plain_file(tmp_path: Path, name: str, text: str = "") -> Path:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    return tmp_path / name


BAD_SOURCES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "absent": (lambda t: t / "nowhere", "does not exist"),
    "no project": (lambda t: plain_file(t, "p/readme").parent, "no pyproject.toml or setup.py"),
    "another project": (
        lambda t: plain_file(t, "p/pyproject.toml", '[project]\nname="flask"').parent,
        "is the project 'flask'",
    ),
    "not TOML": (lambda t: plain_file(t, "p/pyproject.toml", "[").parent, "not valid TOML"),
    "a source archive": (lambda t: plain_file(t, "mlflow-3.0.tar.gz"), "neither a folder nor a"),
    "another wheel": (lambda t: wheel(t, "flask-3.0-py3-none-any.whl"), "not a wheel of mlflow"),
    "a broken wheel": (
        lambda t: plain_file(t, "mlflow-3.0-py3-none-any.whl", "no zip"),
        "not a wheel of mlflow",
    ),
    "a broken checkout": (
        lambda t: plain_file(plain_file(t, "p/.git", "gitdir: /nowhere").parent, "setup.py").parent,
        "git says",
    ),
}


@pytest.mark.parametrize(("make", "message"), BAD_SOURCES.values(), ids=BAD_SOURCES)
def test_a_bad_source_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], Path], message: str
) -> None:
    given = make(tmp_path)
    with pytest.raises(BuildContextError, match=re.escape(message)) as refusal:
        stage("mlflow", tmp_path / "build", ca_bundle=None, mlflow_source=given)
    assert str(tmp_path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert list((tmp_path / "build").iterdir()) == []


def test_only_mlflow_takes_a_source_and_images_have_a_dockerfile(tmp_path: Path) -> None:
    with pytest.raises(BuildContextError, match="only the image 'mlflow'"):
        stage("postgres", tmp_path, ca_bundle=None, mlflow_source=tmp_path)
    with pytest.raises(BuildContextError, match=r"'absent'.*Dockerfile"):
        stage("absent", tmp_path, ca_bundle=None)


def test_contexts_that_nobody_asks_for_go_after_a_day(tmp_path: Path) -> None:
    old, recent, other = (
        tmp_path / name
        for name in ("postgres-aaaaaaaaaaaa", "postgres-bbbbbbbbbbbb", "mlflow-cccccccccccc")
    )
    for folder in (old, recent, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, (time.time() - 90_000,) * 2)
    kept = stage("postgres", tmp_path, ca_bundle=None)
    assert set(tmp_path.iterdir()) == {kept.path, recent, other}
    os.utime(kept.path, (time.time() - 90_000,) * 2)
    assert stage("postgres", tmp_path, ca_bundle=None).path.exists()


class TestCaBundle:
    @pytest.fixture(autouse=True)
    def system(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(build_context, "SYSTEM_BUNDLE", plain_file(tmp_path, "system.crt"))
        monkeypatch.setattr(build_context, "SYSTEM_ADDITIONS", tmp_path / "additions")

    @pytest.mark.parametrize(
        "name", ["PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
    )
    def test_each_variable_is_read(self, tmp_path: Path, name: str) -> None:
        bundle = plain_file(tmp_path, "own.crt")
        assert find_ca_bundle({name: str(bundle)}) == bundle

    def test_a_variable_that_names_no_file_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(BuildContextError, match="SSL_CERT_FILE is '/nowhere', which is not"):
            find_ca_bundle({"SSL_CERT_FILE": "/nowhere"})
        with pytest.raises(BuildContextError, match="PIP_CERT is"):
            find_ca_bundle({"PIP_CERT": str(tmp_path)})

    def test_local_additions_to_the_system_count(self, tmp_path: Path) -> None:
        assert find_ca_bundle({}) is None
        plain_file(tmp_path, "additions/readme.txt")
        assert find_ca_bundle({"PIP_CERT": ""}) is None
        plain_file(tmp_path, "additions/company/ca.crt")
        assert find_ca_bundle({}) == tmp_path / "system.crt"


def test_a_release_has_an_image_of_its_own_and_the_pinned_one_that_of_no_key(
    tmp_path: Path,
) -> None:
    tags = {
        given: stage("mlflow", tmp_path, ca_bundle=None, mlflow_source=given).tag
        for given in (None, *releases.supported())
    }
    assert tags[None] == tags[releases.pinned()]
    assert len(set(tags.values())) == len(releases.supported())


@pytest.mark.parametrize("release", releases.supported())
def test_a_release_is_locked_with_its_companions_and_what_the_servers_need(release: str) -> None:
    pins = {pin.partition("==")[0]: pin for pin in releases.pins(releases.lock(release))}
    for package in releases.COMPANIONS:
        assert pins[package] == f"{package}=={release}"
    packages = (IMAGES / "mlflow/packages.txt").read_text().splitlines()
    wanted = {line.partition("<")[0] for line in packages if not line.startswith("#")}
    assert wanted <= pins.keys()
