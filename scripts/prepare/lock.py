"""Write requirements.txt from the dependencies of pyproject.toml; called by scripts/lock."""

import sys

from scripts.prepare import ui, venv
from scripts.prepare.pins import LOGS, ROOT, VENV

PART = "lock"


def lock(*options: str) -> None:
    """Resolve for every system and Python that the project supports; `options` are uv's."""
    fixed = ["--universal", "--python-version=3.11", "--no-header"]
    files = ["--constraints=scripts/held_back.txt", "--output-file=requirements.txt"]
    took = ui.run(
        PART,
        "resolving",
        [VENV / "bin" / "uv", "pip", "compile", *fixed, *files, "pyproject.toml", *options],
        log=LOGS / "lock.log",
        env=venv.uv_settings(),
        cwd=ROOT,
    )
    ui.say(PART, f"requirements.txt written in {ui.elapsed(took)}; scripts/setup installs it")


if __name__ == "__main__":
    sys.exit(ui.report(PART, lambda: lock(*sys.argv[1:])))
