"""The Pulumi engine: on PATH, the official release, or built from Go modules."""

import hashlib
import os
import platform
import shutil
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from scripts.commands.setup.source import Source
from scripts.offline import engine as offline
from scripts.shared import machine, ui
from scripts.shared.project import CACHE, LOGS, pin, release

PART = "engine"
LANGUAGE_HOST = "pulumi-language-python"
RELEASES = "https://get.pulumi.com/releases/sdk"
CONNECT_S = 5.0
READ_S = 60.0


@dataclass(frozen=True)
class Engine:
    """The engine that was taken.

    Attributes:
        folder: holds `pulumi`; the language host lies there or on PATH.
        why: a line for the person.
        official: an official release, so that official plugins are the ones to try first.
    """

    folder: Path
    why: str
    official: bool


def ensure(source: Source) -> Engine:
    """Find or make an engine of at least the version that the SDK is pinned to."""
    version = pin("pulumi")
    present = find(source)
    if present:
        return present
    with machine.one_at_a_time(PART) as scratch:
        return _cached(version, source) or _new(version, source, scratch)


def find(source: Source) -> Engine | None:
    """Return the engine that is there, on PATH or in the cache; None where one has to be made."""
    version = pin("pulumi")
    if source is not Source.OFFLINE:
        own = on_path(os.environ.get("PATH", ""), version)
        if own:
            return own
    return _cached(version, source)


def on_path(path: str, version: str) -> Engine | None:
    """Return the person's own engine where it is new enough and has its language host.

    One that prints no version was built by hand and may be of any age, so it does not count.
    """
    folders = [word for word in path.split(os.pathsep) if word and not _is_ours(Path(word))]
    program = shutil.which("pulumi", path=os.pathsep.join(folders))
    if not program:
        return None
    printed = machine.output([program, "version"]) or ""
    have, need = release(printed), release(version)
    if not (have and need and need <= have and need[0] == have[0]):
        return None
    host = Path(program).resolve().parent / LANGUAGE_HOST
    if not (host.exists() or shutil.which(LANGUAGE_HOST, path=os.pathsep.join(folders))):
        return None
    return Engine(Path(program).parent, f"{printed} from PATH ({program})", official=True)


def release_archive(version: str, system: str, processor: str) -> str:
    """Return the name of the official archive for a system, as `platform` names it."""
    processors = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    return f"pulumi-v{version}-{system.lower()}-{processors[processor.lower()]}.tar.gz"


def download(base: str, version: str, archive: str, folder: Path, scratch: Path) -> None:
    """Fetch an official release, check it against its published checksums, and unpack it.

    Raises:
        OSError: the host is not reached or does not have it.
        ui.SetupError: the archive is not what the checksums say.
    """
    # A small file first: it shows within seconds whether the host is reached.
    with urllib.request.urlopen(  # noqa: S310 (an https constant, or a test's loopback)
        f"{base}/pulumi-{version}-checksums.txt", timeout=CONNECT_S
    ) as reply:
        checksums = reply.read().decode()
    target = scratch / archive
    with (
        urllib.request.urlopen(f"{base}/{archive}", timeout=READ_S) as reply,  # noqa: S310
        target.open("wb") as output,
    ):
        while part := reply.read(1 << 20):
            ui.raise_if_cancelled()
            output.write(part)
    check(target, checksums)
    argv = ["tar", "-C", str(scratch), "-xzf", str(target)]
    ui.run(PART, f"unpacking {archive}", argv, log=LOGS / "unpack.log")
    (scratch / "pulumi").rename(folder)


def check(archive: Path, checksums: str) -> None:
    """Hold an archive to the line of a `sha256sum` listing that names it."""
    published = [
        line.split()[0] for line in checksums.splitlines() if line.split()[1:] == [archive.name]
    ]
    with archive.open("rb") as content:
        checksum = hashlib.file_digest(content, "sha256").hexdigest()
    if published != [checksum]:
        raise ui.SetupError(
            f"{archive.name} has the checksum {checksum}, published is "
            f"{' '.join(published) or 'none'}: something between here and the release host changed "
            "it; do not use it"
        )


def _folders(version: str) -> tuple[Path, Path]:
    return CACHE / f"pulumi-{version}-release", CACHE / f"pulumi-{version}-modules"


def _cached(version: str, source: Source) -> Engine | None:
    official, built = _folders(version)
    if source is not Source.OFFLINE and official.exists():
        return Engine(official, f"{version}, official release (cached)", official=True)
    if source is not Source.ONLINE and built.exists():
        return Engine(built, f"{version}, built from Go modules (cached)", official=False)
    return None


def _new(version: str, source: Source, scratch: Path) -> Engine:
    official, built = _folders(version)
    unreached = "--offline was given"
    if source is not Source.OFFLINE:
        ui.say(PART, f"fetching the official release {version}")
        try:
            archive = release_archive(version, platform.system(), platform.machine())
            download(RELEASES, version, archive, official, scratch)
            return Engine(official, f"{version}, official release, checksum good", official=True)
        except KeyError:
            unreached = f"no official release for {sys.platform} on {platform.machine()}"
        except OSError as error:
            reason = getattr(error, "reason", None) or error
            unreached = f"the release host is not reached: {reason}"
        if source is Source.ONLINE:
            raise ui.SetupError(f"{unreached}; without --online the engine is built here")
    ui.say(PART, f"{unreached}; building {version} from Go modules, some minutes, once")
    took = offline.build(version, built, scratch)
    why = f"{version}, built from Go modules in {ui.elapsed(took)} ({unreached})"
    return Engine(built, why, official=False)


def _is_ours(folder: Path) -> bool:
    return folder.is_relative_to(CACHE)
