"""A base image made from Debian's packages, for places where no image registry answers."""

import shutil
import tempfile
from pathlib import Path

from scripts.prepare import machine, ui
from scripts.prepare.pins import CACHE, LOGS

PART = "image"
SUITE = "trixie"
LABEL = "mlflow-bench.base=debootstrap"


def build(reference: str) -> float:
    """Make a minimal Debian with debootstrap and import it as `reference`.

    Returns:
        the seconds that it took.
    """
    took = 0.0
    if shutil.which("debootstrap") is None:
        took += machine.apt_install(PART, "debootstrap")
    mirrors = _mirrors()
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="base-", dir=CACHE) as name:
        root = Path(name) / "root"
        argv: list[str | Path] = [
            "debootstrap",
            "--variant=minbase",
            "--include=ca-certificates",
            SUITE,
            root,
        ]
        if "Debian" in mirrors:
            argv.append(mirrors["Debian"])
        what = f"making {reference} with debootstrap"
        took += ui.run(PART, what, argv, log=LOGS / "debootstrap.log", detail=ui.last_line)
        if "Debian-Security" in mirrors:
            line = f"deb {mirrors['Debian-Security']} {SUITE}-security main\n"
            (root / "etc/apt/sources.list.d/security.list").write_text(line)
        for archive in (root / "var/cache/apt/archives").glob("*.deb"):
            archive.unlink()
        tar = Path(name) / "root.tar"
        log = LOGS / "import.log"
        took += ui.run(PART, "packing the image", ["tar", "-C", root, "-cf", tar, "."], log=log)
        changes = ["--change", f"LABEL {LABEL}", "--change", 'CMD ["bash"]']
        imported: list[str | Path] = ["docker", "import", *changes, tar, reference]
        took += ui.run(PART, "importing the image", imported, log=log)
    return took


def parse_mirrors(text: str) -> dict[str, str]:
    """Read `label|address` lines; the first address of each label counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        label, _, address = line.partition("|")
        if label and address:
            found.setdefault(label, address)
    return found


def _mirrors() -> dict[str, str]:
    """Return the addresses of Debian's archives, as this host's own apt uses them, by label."""
    text = machine.output(["apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)"]) or ""
    return parse_mirrors(text)
