"""Commands from a shell: a mistake is one line before anything else."""

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.commands.setup import environment
from scripts.shared import project


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("bench", "name a stack: "),
        ("bench lcoal@all", "no stack lcoal in stacks/; there is: "),
        ("bench local lcoal", "no stack lcoal in stacks/; there is: "),
        ("bench local --resume", "--resume and what you need are for a comparison: add --compare"),
        ("bench local --users 4", "are for a comparison: add --compare"),
        ("bench --compare lcoal", "no stack lcoal in stacks/; there is: "),
        ("bench --compare --keep", "--keep: a comparison removes each stack"),
        ("bench --compare --client 3.16.1", "--client: a comparison"),
        ("bench local --client newest", "--client newest: give a release of mlflow by its number"),
        ("bench local --client 2.22.5", "--client 2.22.5: workloads use what mlflow has since 3"),
        ("bench --compare --resume local", "leave the names out"),
        ("bench --compare --remove", "--remove: only what is not deployed is compared"),
        ("bench local --scenario deploy --remove", "--remove: only what is not deployed is compar"),
        ("bench --compare --users many", "--users many: give a number of users, as 40"),
        ("bench --compare --artifact-size 3parsec", "--artifact-size 3parsec: give a size as 200"),
        ("bench --compare --must-survive war", "--must-survive war: there are replica, zone, "),
        ("bench --compare --outage-limit 0", "--outage-limit 0: give seconds, as 5"),
        ("bench local --scenario pigeons", "unknown scenario 'pigeons': there are training,"),
        ("bench local --scenario deploy --keep", "--keep: deploy deploys and removes by itself"),
        ("bench local --scenario upgrade", "--scenario upgrade: name both releases, as in: --"),
        ("bench local --from 3.16.1", "--from: of the scenario upgrade: add --scenario upgrade"),
        ("bench --compare --scenario metrics", "--scenario: a comparison has workloads of its own"),
        ("ci x", "no stack x in stacks/; there is: "),
        ("doctor lcoal", "no stack lcoal in stacks/"),
    ],
)
def test_mistakes_are_one_line_before_anything_else(command: str, said: str) -> None:
    name, *arguments = command.split()
    launcher = project.ROOT / "scripts" / name
    done = subprocess.run([launcher, *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line


def test_the_launcher_needs_no_package_of_others() -> None:
    """It runs before there is a virtual environment."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    assert python
    names = ("bench.__main__", "ci.__main__", "doctor.__main__", "setup.__main__")
    script = "; ".join(f"import scripts.commands.{name}" for name in names)
    subprocess.run([python, "-S", "-c", script], cwd=project.ROOT, check=True)


def test_exports_survive_a_shell() -> None:
    value = "/a b/it's $HOME `x`"
    script = environment.exports({"STRANGE": value}) + 'printf %s "$STRANGE"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == value


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_activate_says_so_when_it_is_not_sourced(shell: str) -> None:
    script = project.ROOT / "scripts" / "activate"
    done = subprocess.run([shell, script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "Source this file from bash or zsh instead of running it: . scripts/activate"
    ]


def test_an_old_python_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit\nexit 1\n'
    )
    (tmp_path / "python3").chmod(0o755)
    for tool in ("sh", "dirname"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run(
        ["/bin/sh", project.ROOT / "scripts" / "setup"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Python 3.11 or newer is needed, found: Python 3.9.2.")
    assert len(done.stderr.splitlines()) == 1
