"""The headless browser that the test of the report opens it in."""

import shutil
import sys
from pathlib import Path

from scripts.shared import machine, ui

PART = "browser"
COMMANDS = ("chromium", "chromium-browser", "google-chrome", "chrome")
MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def ensure() -> None:
    """Install Debian's Chromium where there is no browser of that family."""
    if any(map(shutil.which, COMMANDS)) or MACOS.exists():
        return
    if not machine.debian_root():
        raise ui.SetupError(
            "the tests need Chromium or Chrome on PATH: install it, then run them again"
        )
    with machine.one_at_a_time(PART):
        took = machine.apt_install(PART, "chromium")
    ui.say(PART, f"Debian's chromium installed in {ui.elapsed(took)}")


if __name__ == "__main__":
    sys.exit(ui.report(PART, ensure))
