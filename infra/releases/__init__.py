"""Releases of MLflow that a stack may run: `mlflow: 3.16.1` in its file.

Each has a lock beside this module, `<release>.txt`, with every package of its image: pins as in
requirements.txt wherever the release allows it, so that two releases differ in little else.
`scripts/lock` writes them all; `scripts/lock --mlflow RELEASE` adds one.
"""

import re
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent
REQUIREMENTS = Path(__file__).parents[2] / "requirements.txt"
COMPANIONS = ("mlflow", "mlflow-skinny", "mlflow-tracing")
"""Packages of one release: none works with the others of another."""

_NUMBER = re.compile(r"\d+\.\d+\.\d+", re.ASCII)


def pins(requirements: Path) -> list[str]:
    """Return the lines `name==version[ ; marker]`, without comments."""
    lines = (line.split(" #")[0].strip() for line in requirements.read_text().splitlines())
    return [line for line in lines if re.match(r"[\w.-]+==", line)]


def pinned() -> str:
    """Return the release of requirements.txt, which a stack runs that names none."""
    prefix = "mlflow=="
    return next(pin.removeprefix(prefix) for pin in pins(REQUIREMENTS) if pin.startswith(prefix))


def numbers(release: str) -> tuple[int, ...]:
    """Return a release as numbers, which can be compared. Raises ValueError if it is not three."""
    if not _NUMBER.fullmatch(release):
        raise ValueError(f"is no release of mlflow, as {pinned()}")
    return tuple(map(int, release.split(".")))


def supported() -> list[str]:
    """Return the releases that a stack may run, the oldest first."""
    return sorted({pinned(), *(file.stem for file in FOLDER.glob("*.txt"))}, key=numbers)


def checked(release: str) -> str:
    """Return a release that a stack may run. Raises ValueError, with the reason in one line."""
    numbers(release)
    known = supported()
    if release not in known:
        raise ValueError(
            f"is not among the releases that a stack runs: {', '.join(known)}; to try another: "
            f"./scripts/lock --mlflow {release}"
        )
    return release


def lock(release: str) -> Path:
    """Return the file with the pins of a supported release."""
    return REQUIREMENTS if release == pinned() else FOLDER / f"{release}.txt"


def version_of(mlflow: str | Path | None) -> str:
    """Return the version that `mlflow` of a stack file installs, as far as it says one.

    A source folder is taken for the version that it was made from, the pinned one.
    """
    if isinstance(mlflow, str):
        return mlflow
    if mlflow is not None and mlflow.suffix == ".whl":
        return mlflow.name.split("-")[1]
    return version("mlflow")
