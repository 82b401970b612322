"""A base image made from Debian's packages, for places where no image registry answers."""

import shutil
from pathlib import Path

from scripts.shared import machine, ui
from scripts.shared.project import LOGS

PART = "image"
SUITE = "trixie"
LABEL = "mlflow-bench.base=debootstrap"


def build(reference: str, scratch: Path) -> float:
    """Make a minimal Debian with debootstrap and import it as `reference`.

    Returns:
        the seconds that it took.
    """
    took = 0.0
    if shutil.which("debootstrap") is None:
        took += machine.apt_install(PART, "debootstrap")
    root, tar, log = scratch / "root", scratch / "root.tar", LOGS / "import.log"
    argv: list[str | Path] = ["debootstrap", "--variant=minbase", "--include=ca-certificates"]
    argv += [SUITE, root, *mirror()]
    what = f"making {reference} with debootstrap"
    took += ui.run(PART, what, argv, log=LOGS / "debootstrap.log", detail=ui.last_line)
    mirrors = _mirrors()
    if "Debian-Security" in mirrors:
        line = f"deb {mirrors['Debian-Security']} {SUITE}-security main\n"
        (root / "etc/apt/sources.list.d/security.list").write_text(line)
    for archive in (root / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()
    took += ui.run(PART, "packing the image", ["tar", "-C", root, "-cf", tar, "."], log=log)
    changes = ["--change", f"LABEL {LABEL}", "--change", 'CMD ["bash"]']
    imported: list[str | Path] = ["docker", "import", *changes, tar, reference]
    return took + ui.run(PART, "importing the image", imported, log=log)


def mirror() -> list[str]:
    """Return the address of Debian's archive as an argument; none where apt tells none."""
    mirrors = _mirrors()
    return [mirrors["Debian"]] if "Debian" in mirrors else []


def parse_mirrors(text: str) -> dict[str, str]:
    """Read `label|address` lines; the first address of each label counts."""
    mirrors: dict[str, str] = {}
    for line in text.splitlines():
        label, _, address = line.partition("|")
        if label and address:
            mirrors.setdefault(label, address)
    return mirrors


def _mirrors() -> dict[str, str]:
    """Return the addresses of Debian's archives, as this host's own apt uses them, by label."""
    text = machine.output(["apt-get", "indextargets", "--format", "$(LABEL)|$(REPO_URI)"]) or ""
    return parse_mirrors(text)
