"""dex, an identity provider, built from its Go module; cached, as it takes some minutes."""

import hashlib
import shutil
import sys
from pathlib import Path

from scripts.shared import go, machine, ui
from scripts.shared.project import CACHE, LOGS

PART = "dex"
SOURCE = Path(__file__).parent
MODULE = ("go.mod", "go.sum", "main.go")


def ensure() -> Path:
    """Build it where the cache has none of this source; return the program."""
    source = b"".join((SOURCE / name).read_bytes() for name in MODULE)
    program = CACHE / f"dex-{hashlib.sha256(source).hexdigest()[:12]}" / "dex"
    if program.exists():
        return program
    with machine.one_at_a_time(PART) as scratch:
        if not program.exists():
            compiler, _ = go.find()
            folder, parts = scratch / "source", scratch / "parts"
            for each in (folder, parts):
                each.mkdir()
            for name in MODULE:
                shutil.copy(SOURCE / name, folder)
            options: list[str | Path] = [
                "-v",
                "-mod=mod",
                "-trimpath",
                "-ldflags",
                "-s -w",
                "-o",
                parts / "dex",
            ]
            took = ui.run(
                PART,
                "compiling dex",
                [compiler, "build", *options, "."],
                log=LOGS / "dex.log",
                env=go.ENVIRONMENT,
                cwd=folder,
                detail=go.progress,
            )
            parts.rename(program.parent)
            ui.say(PART, f"built from its Go module in {ui.elapsed(took)}")
    return program


if __name__ == "__main__":
    sys.exit(ui.report(PART, ensure))
