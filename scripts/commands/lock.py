"""`scripts/lock`: writes requirements.txt from the dependencies of pyproject.toml."""

import argparse
import sys

from scripts.shared import ui, venv
from scripts.shared.project import LOGS, ROOT, VENV

PART = "lock"


def main() -> int:
    """Resolve the dependencies; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/lock",
        description="Write requirements.txt anew from pyproject.toml. Pins stay where they can. "
        "Other options go to uv pip compile.",
    )
    parser.add_argument(
        "--upgrade", action="store_true", help="move all pins but those in scripts/held_back.txt"
    )
    options, uv_arguments = parser.parse_known_args()
    if options.upgrade:
        uv_arguments.append("--upgrade")
    return ui.report(PART, lambda: lock(*uv_arguments))


def lock(*uv_arguments: str) -> None:
    """Resolve for every system and Python that the project supports."""
    fixed = ["--universal", "--python-version=3.11", "--no-header"]
    files = ["--constraints=scripts/held_back.txt", "--output-file=requirements.txt"]
    took = ui.run(
        PART,
        "resolving",
        [VENV / "bin" / "uv", "pip", "compile", *fixed, *files, "pyproject.toml", *uv_arguments],
        log=LOGS / "lock.log",
        env=venv.uv_settings(),
        cwd=ROOT,
    )
    ui.say(PART, f"requirements.txt written in {ui.elapsed(took)}; scripts/setup installs it")


if __name__ == "__main__":
    sys.exit(main())
