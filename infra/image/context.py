"""Stages the build contexts of the images: plain file work, without Docker.

A context is a folder named after its content, so an unchanged one stays untouched and Docker's
build cache holds, and a changed one gets another image tag.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from infra import releases

OWN = "mlflow-bench/"
"""What the names of the images that are built here begin with."""

IMAGES = Path(__file__).parents[1] / "images"
PROJECT = Path(__file__).parents[2]
SYSTEM_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
SYSTEM_ADDITIONS = Path("/usr/local/share/ca-certificates")

# In the order in which pip and the libraries under it look.
_BUNDLE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

# Images whose build talks to a package registry beyond Debian's.
_DOWNLOADING = {"mlflow", "minio", "seaweedfs", "toxiproxy", "workload"}

# Images with packages of this project's own pins.
_PINNED = {"mlflow", "workload"}

# What `workloads` needs of `infra`: the contract, and how stack files and kubeconfigs are read.
_CONTRACT = tuple(
    Path("infra") / name
    for name in ("__init__.py", "kubeconfig.py", "labels.py", "outputs.py", "stack_file.py")
)

# Not part of the installed package: a change there must not rebuild the image.
_SKIPPED_AT_TOP = {"build", "dist", "docs", "examples", "tests", ".github"}
_SKIPPED_ANYWHERE = {".git", ".venv", "venv", "node_modules", "__pycache__", ".tox"} | {
    f".{tool}_cache" for tool in ("mypy", "pytest", "ruff")
}
# Git ignores the built web interface, which belongs to the package all the same.
_BUILT_INTERFACE = Path("mlflow/server/js/build")

_BASE = re.compile(r"^ARG BASE=(\S+)$", re.MULTILINE)

# Zip files, and so wheels, know no time before 1980.
_FIXED_TIME = 946_684_800
_STALE_AFTER_SECONDS = 24 * 3600


class BuildContextError(ValueError):
    """What a build was given cannot be used; the message is one line."""


@dataclass(frozen=True)
class BuildContext:
    """A staged build context."""

    path: Path
    """Folder with the Dockerfile and everything it copies."""

    tag: str
    """Image reference, `mlflow-bench/<image>:<12 hexadecimal digits of the content's SHA-256>`.

    The same content has the same tag on every machine: the CA bundle, which is not part of the
    image, does not count. The reference of the base image does.
    """

    base: str
    """Reference of the image that it is built on."""

    @property
    def name(self) -> str:
        """The image's name, as `minio`."""
        return self.tag.removeprefix(OWN).partition(":")[0]

    def in_registry(self, registry: str) -> str:
        """Return the image's reference in a registry, as `registry.example.com/team`."""
        return f"{registry}/{self.tag.removeprefix(OWN)}"


def stage(
    image: str,
    build_root: Path,
    *,
    ca_bundle: Path | None,
    mlflow_source: Path | str | None = None,
    base: str | None = None,
) -> BuildContext:
    """Write the build context of an image below `build_root`, unless it exists already.

    `ca_bundle` (see `find_ca_bundle`) is used by downloads while an image is built and does not
    become part of it. `mlflow_source`, for the mlflow image only, is a supported release, or an
    own wheel or source folder, installed in place of the pinned mlflow. `base` takes the place of
    the base image that the Dockerfile names.

    Raises BuildContextError when a given file or folder cannot be used.
    """
    source = IMAGES / image
    if not (source / "Dockerfile").is_file():
        raise BuildContextError(f"image {image!r}: there is no {source}/Dockerfile")
    if mlflow_source is not None and image != "mlflow":
        raise BuildContextError(f"image {image!r}: only the image 'mlflow' takes an own mlflow")
    build_root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{image}-", dir=build_root))
    try:
        _copy(source, draft, _walk(source, _SKIPPED_ANYWHERE))
        base = _set_base(draft / "Dockerfile", base)
        if image in _PINNED:
            release = mlflow_source if isinstance(mlflow_source, str) else releases.pinned()
            pins = releases.pins(releases.lock(release))
            (draft / "constraints.txt").write_text("\n".join(pins) + "\n")
        if image == "workload":
            workloads = PROJECT / "workloads"
            _copy(workloads, draft / "project/workloads", _walk(workloads, _SKIPPED_ANYWHERE))
            _copy(PROJECT, draft / "project", iter(_CONTRACT))
        if image == "mlflow":
            own = draft / "own"
            own.mkdir()
            if isinstance(mlflow_source, Path):
                _stage_own(mlflow_source, own)
        tag = f"{OWN}{image}:{_normalise(draft)}"
        if image in _DOWNLOADING:
            # Always there, so that the Dockerfile can copy it; empty means the usual certificates.
            (draft / "ca-bundle.crt").write_bytes(ca_bundle.read_bytes() if ca_bundle else b"")
        path = build_root / f"{image}-{_normalise(draft)}"
        if not path.exists():
            draft.chmod(0o755)
            try:
                draft.rename(path)
            except OSError:
                # Another run staged the same content in between.
                if not path.exists():
                    raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    os.utime(path)
    _remove_stale(build_root, image)
    return BuildContext(path=path, tag=tag, base=base)


def names() -> list[str]:
    """Return the names of all images of the project, sorted."""
    return sorted(file.parent.name for file in IMAGES.glob("*/Dockerfile"))


def find_ca_bundle(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Find the CA bundle that this host has beyond the usual ones, if any.

    Looked for in the variables that pip and curl read, then in Debian's folder of local additions,
    whose content `update-ca-certificates` puts into the system's bundle.

    Raises BuildContextError when a variable names something that is not a file.
    """
    for name in _BUNDLE_VARIABLES:
        if value := environment.get(name):
            if not Path(value).is_file():
                raise BuildContextError(
                    f"{name} is {value!r}, which is not a file: name a CA bundle in PEM format, "
                    "or unset it"
                )
            return Path(value)
    if SYSTEM_BUNDLE.is_file() and any(SYSTEM_ADDITIONS.glob("**/*.crt")):
        return SYSTEM_BUNDLE
    return None


def _set_base(dockerfile: Path, base: str | None) -> str:
    """Write the base image into a Dockerfile, where one is given; return the one it names."""
    text = dockerfile.read_text()
    if base is not None:
        text = _BASE.sub(lambda _: f"ARG BASE={base}", text, count=1)
        dockerfile.write_text(text)
    match = _BASE.search(text)
    assert match is not None, dockerfile
    return match[1]


def _stage_own(source: Path, own: Path) -> None:
    """Copy a wheel, or the files of a source folder, into the folder `own`."""
    if source.is_dir():
        _check_project(source)
        _copy(source, own / "mlflow", _source_files(source))
    elif not source.exists():
        raise BuildContextError(f"mlflow source {str(source)!r} does not exist")
    elif source.suffix != ".whl":
        raise BuildContextError(
            f"mlflow source {str(source)!r} is neither a folder nor a wheel: build one with "
            "`pip wheel --no-deps FOLDER`"
        )
    elif not source.name.startswith("mlflow-") or not zipfile.is_zipfile(source):
        raise BuildContextError(f"mlflow source {str(source)!r} is not a wheel of mlflow")
    else:
        shutil.copyfile(source, own / source.name)


def _check_project(folder: Path) -> None:
    project_file = folder / "pyproject.toml"
    if not project_file.is_file():
        if not (folder / "setup.py").is_file():
            raise BuildContextError(
                f"mlflow source {str(folder)!r} has no pyproject.toml or setup.py: name the top "
                "folder of an mlflow checkout"
            )
        return
    try:
        project = tomllib.loads(project_file.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuildContextError(f"{str(project_file)!r} is not valid TOML: {error}") from error
    name = project.get("project", {}).get("name", "mlflow")
    if name != "mlflow":
        raise BuildContextError(
            f"mlflow source {str(folder)!r} is the project {name!r}: name the top folder of an "
            "mlflow checkout"
        )


def _source_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a source folder, relative to it: git's view of it in a checkout."""
    if not (folder / ".git").exists():
        yield from _walk(folder, _SKIPPED_ANYWHERE, _SKIPPED_AT_TOP)
        return
    listing = subprocess.run(
        ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if listing.returncode != 0:
        reason = listing.stderr.decode(errors="replace").strip().splitlines()
        raise BuildContextError(f"mlflow source {str(folder)!r}: git says {reason[:1]}")
    for name in listing.stdout.split(b"\0"):
        file = Path(os.fsdecode(name))
        # Files deleted from the folder are still listed, and folders of other repositories.
        if name and file.parts[0] not in _SKIPPED_AT_TOP and _is_file(folder / file):
            yield file
    for file in _walk(folder / _BUILT_INTERFACE):
        yield _BUILT_INTERFACE / file


def _walk(
    folder: Path, skipped: Set[str] = frozenset(), skipped_at_top: Set[str] = frozenset()
) -> Iterator[Path]:
    for entry in folder.rglob("*"):
        file = entry.relative_to(folder)
        if (
            _is_file(entry)
            and skipped.isdisjoint(file.parts)
            and file.parts[0] not in skipped_at_top
        ):
            yield file


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _copy(source: Path, target: Path, files: Iterator[Path]) -> None:
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / file, target / file, follow_symlinks=False)


def _normalise(folder: Path) -> str:
    """Give everything below the folder fixed modes and times; return its digest, 12 digits.

    The digest covers paths, content, the executable bit and the targets of links, each part
    preceded by its length, so that no two trees share a sequence.
    """
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        digest.update(len(part).to_bytes(8) + part)

    for path in sorted(folder.rglob("*")):
        add(os.fsencode(path.relative_to(folder)))
        if path.is_symlink():
            add(b"link")
            add(os.fsencode(path.readlink()))
        elif path.is_dir():
            add(b"folder")
            path.chmod(0o755)
        else:
            executable = bool(path.stat().st_mode & 0o100)
            path.chmod(0o755 if executable else 0o644)
            add(b"program" if executable else b"file")
            add(path.read_bytes())
        os.utime(path, (_FIXED_TIME, _FIXED_TIME), follow_symlinks=False)
    return digest.hexdigest()[:12]


def _remove_stale(build_root: Path, image: str) -> None:
    """Remove contexts of the image that no run has asked for during the last day."""
    for path in build_root.iterdir():
        if not re.fullmatch(rf"\.?{re.escape(image)}-\w+", path.name):
            continue
        # Another run may remove it first.
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _STALE_AFTER_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
