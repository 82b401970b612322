"""actionlint, which reads GitHub's workflow files; built from its Go module."""

import os
import sys
from pathlib import Path

from scripts.shared import go, machine, ui
from scripts.shared.project import CACHE, LOGS

PART = "actionlint"
VERSION = "1.7.7"
PACKAGE = "github.com/rhysd/actionlint/cmd/actionlint"


def ensure() -> Path:
    """Build it where the cache has none; return the program."""
    program = CACHE / f"actionlint-{VERSION}" / "actionlint"
    if program.exists():
        return program
    with machine.one_at_a_time(PART) as scratch:
        if not program.exists():
            compiler, _ = go.find()
            parts = scratch / "parts"
            took = ui.run(
                PART,
                f"compiling actionlint {VERSION}",
                [compiler, "install", f"{PACKAGE}@v{VERSION}"],
                log=LOGS / "actionlint.log",
                env=go.ENVIRONMENT | {"GOBIN": str(parts)},
                cwd=Path(os.sep),
            )
            parts.rename(program.parent)
            ui.say(PART, f"{VERSION} built from its Go module in {ui.elapsed(took)}")
    return program


if __name__ == "__main__":
    sys.exit(ui.report(PART, ensure))
