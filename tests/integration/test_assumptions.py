"""The pinned MLflow is as the programs of its image need it, and one that is not is told."""

import os
import subprocess
import sys
from pathlib import Path

from infra import releases
from scripts.shared.project import ROOT

PROGRAMS = ROOT / "infra" / "images" / "mlflow"


def check(programs: Path) -> "subprocess.CompletedProcess[str]":
    """Run it as the image's build does."""
    path = os.pathsep.join(map(str, (PROGRAMS, PROGRAMS / "stores")))
    return subprocess.run(
        [sys.executable, "-B", "-m", "assumptions", programs],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_pinned_release_is_as_its_image_needs_it() -> None:
    done = check(PROGRAMS)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"mlflow {releases.pinned()} is as the image's programs need it")


def test_a_program_that_needs_more_ends_the_build_by_its_name(tmp_path: Path) -> None:
    program = tmp_path / "stores" / "one.py"
    program.parent.mkdir()
    program.write_text("from mlflow.server.artifact_router import _not_there\n")
    done = check(tmp_path)
    assert done.returncode == 1
    assert done.stdout == (
        f"refused: mlflow {releases.pinned()} does not fit this image: "
        "mlflow.server.artifact_router:_not_there is missing\n"
    )
