"""`scripts/lock`: writes requirements.txt from the dependencies of pyproject.toml.

And the locks of the other releases of MLflow that a stack may run, from those pins.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from infra import releases
from infra.releases import contents
from scripts.shared import ui, venv
from scripts.shared.project import LOGS, ROOT, VENV

PART = "lock"
LOG = "lock.log"
PACKAGES = "infra/images/mlflow/packages.txt"


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
    parser.add_argument(
        "--mlflow",
        metavar="RELEASE",
        help="leave requirements.txt as it is, and lock this release of MLflow for stacks",
    )
    options, uv_arguments = parser.parse_known_args()
    if options.upgrade:
        uv_arguments.append("--upgrade")
    if options.mlflow is not None:
        return ui.report(PART, lambda: lock_release(options.mlflow))
    return ui.report(PART, lambda: lock(*uv_arguments))


def lock(*uv_arguments: str) -> None:
    """Resolve for every system and Python that the project supports."""
    files = ["--constraints=scripts/held_back.txt", "--output-file=requirements.txt"]
    took = _compile("resolving", [*files, "pyproject.toml", *uv_arguments])
    ui.say(PART, f"requirements.txt written in {ui.elapsed(took)}; scripts/setup installs it")
    for release in releases.supported():
        if release != releases.pinned():
            lock_release(release)


def lock_release(release: str) -> None:
    """Write the lock of a release of MLflow. Raises `SetupError` for one that has none."""
    try:
        releases.numbers(release)
    except ValueError as error:
        raise ui.SetupError(f"--mlflow: {release}: {error}") from None
    if release == releases.pinned():
        raise ui.SetupError(f"--mlflow: {release}: is the release of requirements.txt")
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-lock-") as folder:
        wanted = Path(folder) / "packages.in"
        wanted.write_text((ROOT / PACKAGES).read_text() + f"mlflow=={release}\n")
        written = Path(folder) / "lock.txt"
        # uv keeps to the pins of the file that it writes, where the release allows it.
        shared = [
            pin
            for pin in releases.pins(releases.REQUIREMENTS)
            if pin.partition("==")[0] not in releases.COMPANIONS
        ]
        written.write_text("\n".join(shared) + "\n")
        try:
            took = _compile(
                f"resolving mlflow {release}",
                ["--no-annotate", f"--output-file={written}", str(wanted)],
            )
        except ui.SetupError:
            raise ui.SetupError(
                f"mlflow {release}: cannot be installed: {venv.uv_cause((LOGS / LOG).read_text())}"
            ) from None
        package = Path(folder) / "package"
        _install(release, package)
        noted = contents.notes(package / "mlflow")
        releases.lock(release).write_text(noted + written.read_text())
    name = releases.lock(release).relative_to(ROOT)
    ui.say(PART, f"{name} written in {ui.elapsed(took)}")


def _install(release: str, folder: Path) -> None:
    """Put the package alone into a folder, to look at what it holds."""
    ui.run(
        PART,
        f"looking at mlflow {release}",
        [
            *(VENV / "bin" / "uv", "pip", "install", "--quiet", "--no-deps"),
            *(f"--target={folder}", f"mlflow=={release}"),
        ],
        log=LOGS / LOG,
        env=venv.uv_settings(),
        cwd=ROOT,
    )


def _compile(step: str, arguments: Sequence[str]) -> float:
    """Run uv; return the seconds that it took."""
    fixed = ["--universal", "--python-version=3.11", "--no-header"]
    return ui.run(
        PART,
        step,
        [VENV / "bin" / "uv", "pip", "compile", *fixed, *arguments],
        log=LOGS / LOG,
        env=venv.uv_settings(),
        cwd=ROOT,
    )


if __name__ == "__main__":
    sys.exit(main())
