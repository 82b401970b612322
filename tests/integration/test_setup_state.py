"""Passphrase, stacks and the git filter of a checkout, in folders of their own."""

import json
import multiprocessing
import subprocess
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from scripts.commands.setup import state
from scripts.shared import personal, project, ui
from scripts.stack import files

PLAIN = '# a preset\nconfig:\n  mlflow-bench:port: "5000"\n'
SALT = "encryptionsalt: v1:AAAA=:v1:BBBB:CCCC==\n"
WITH_SECRET = "config:\n  mlflow-bench:token:\n    secure: v1:DDDD:EEEE==\n"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "checkout"
    (root / "stacks").mkdir(parents=True)
    folders = {"ROOT": root, "STATE": root / ".state", "LOGS": root / ".state" / "logs"}
    for name, folder in folders.items():
        monkeypatch.setattr(state, name, folder)
    monkeypatch.setattr(files, "ROOT", root)
    monkeypatch.setattr(state, "PASSPHRASE", root / ".state" / "passphrase")
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_BACKEND_URL"):
        monkeypatch.delenv(name, raising=False)
    state.ensure_folder()
    return root


def test_what_a_killed_engine_left_beside_a_state_is_removed(checkout: Path) -> None:
    stacks = checkout / ".state" / ".pulumi" / "stacks" / project.PROJECT
    stacks.mkdir(parents=True)
    (stacks / "local.json").write_text("{}")
    (stacks / "local.json.attrs").touch()
    state.ensure_folder()
    assert [path.name for path in stacks.iterdir()] == ["local.json"]


def git(checkout: Path, *words: str) -> str:
    name = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    argv = ["git", "-C", str(checkout), *name, *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def commit_preset(checkout: Path) -> Path:
    git(checkout, "init", "-q")
    attributes = (project.ROOT / ".gitattributes").read_text()
    (checkout / ".gitattributes").write_text(attributes)
    (checkout / ".gitignore").write_text("/.state/\n")
    preset = checkout / "stacks" / "Pulumi.local.yaml"
    preset.write_text(PLAIN)
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "a preset")
    state.ensure_filter()
    return preset


def test_the_salt_that_pulumi_writes_is_no_change(checkout: Path) -> None:
    preset = commit_preset(checkout)
    preset.write_text(PLAIN + SALT)
    state.ensure_filter()
    assert git(checkout, "status", "--porcelain") == ""
    git(checkout, "add", ".")
    assert git(checkout, "diff", "--cached") == ""
    preset.write_text(PLAIN + SALT)  # Written anew, as Pulumi does.
    assert git(checkout, "status", "--porcelain") == ""


def test_the_set_up_stages_no_change_of_the_person(checkout: Path) -> None:
    preset = commit_preset(checkout)
    preset.write_text(PLAIN.replace("5000", "5001") + SALT)
    (checkout / "stacks" / "Pulumi.mine.yaml").write_text(PLAIN)
    state.ensure_filter()
    assert git(checkout, "diff", "--cached") == ""
    assert git(checkout, "status", "--porcelain").splitlines() == [
        " M stacks/Pulumi.local.yaml",
        "?? stacks/Pulumi.mine.yaml",
    ]


def test_a_real_change_is_one_and_is_committed_without_the_salt(checkout: Path) -> None:
    preset = commit_preset(checkout)
    preset.write_text(PLAIN.replace("5000", "5001") + SALT)
    git(checkout, "commit", "-q", "-a", "-m", "another port")
    assert git(checkout, "show", "HEAD:stacks/Pulumi.local.yaml") == PLAIN.replace("5000", "5001")


@pytest.mark.parametrize(
    "secret",
    [
        WITH_SECRET,
        'config:\n  mlflow-bench:token:\n    "secure": v1:DDDD:EEEE==\n',
        "config:\n  mlflow-bench:tokens:\n    - secure: v1:DDDD:EEEE==\n",
        "config:\n  mlflow-bench:token: {secure: v1:DDDD:EEEE==}\n",
    ],
)
def test_a_secret_in_the_file_keeps_its_salt(checkout: Path, secret: str) -> None:
    preset = commit_preset(checkout)
    preset.write_text(SALT + secret)
    git(checkout, "commit", "-q", "-a", "-m", "a secret")
    assert git(checkout, "show", "HEAD:stacks/Pulumi.local.yaml") == SALT + secret


def test_a_folder_that_is_no_git_checkout_gets_no_filter(checkout: Path) -> None:
    state.ensure_filter()
    assert not (checkout / ".git").exists()


def test_a_passphrase_is_made_once_and_for_its_owner_alone(checkout: Path) -> None:
    state.ensure_passphrase()
    passphrase = checkout / ".state" / "passphrase"
    first = passphrase.read_text()
    state.ensure_passphrase()
    assert passphrase.read_text() == first
    assert len(first) >= 32
    assert passphrase.stat().st_mode & 0o777 == 0o600
    assert (checkout / ".state").stat().st_mode & 0o777 == 0o700


def test_the_persons_own_passphrase_wins(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "")
    assert state.ensure_passphrase() == "your own passphrase"
    assert not (checkout / ".state" / "passphrase").exists()


def test_a_new_passphrase_forgets_the_salt_of_the_last_one(checkout: Path) -> None:
    (checkout / "stacks" / "Pulumi.local.yaml").write_text(PLAIN + SALT)
    (checkout / "stacks" / "Pulumi.mine.yaml").write_text(WITH_SECRET + SALT)
    state.ensure_passphrase()
    assert (checkout / "stacks" / "Pulumi.local.yaml").read_text() == PLAIN
    assert (checkout / "stacks" / "Pulumi.mine.yaml").read_text() == WITH_SECRET + SALT


def test_a_lost_passphrase_is_not_replaced_while_stacks_need_it(checkout: Path) -> None:
    stacks = checkout / ".state" / ".pulumi" / "stacks" / project.PROJECT
    stacks.mkdir(parents=True)
    (stacks / "local.json").write_text("{}")
    with pytest.raises(ui.SetupError, match="passphrase is gone but stacks of it exist"):
        state.ensure_passphrase()


def test_two_set_ups_at_once_make_a_new_stack_once(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "stacks" / "Pulumi.mine.yaml").write_text(PLAIN)
    stacks = checkout / ".state" / ".pulumi" / "stacks" / project.PROJECT
    stacks.mkdir(parents=True)
    program = checkout / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(  # as Pulumi: what is there already is an error
        f"#!/bin/sh\nsleep 0.3; test ! -e {stacks}/$3.json || exit 1\n"
        f"echo '{{\"checkpoint\": {{}}}}' > {stacks}/$3.json\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    # In processes, as two commands of a person are: a signal handler is the main thread's.
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        for made in [pool.submit(state.ensure_stacks, {}) for _ in range(2)]:
            assert made.result(20).startswith("stacks mine in ")


def test_presets_are_the_stack_files(checkout: Path) -> None:
    for name in ("Pulumi.local.yaml", "Pulumi.multi-az.yaml", "schema.json"):
        (checkout / "stacks" / name).touch()
    assert files.names() == ["local", "multi-az"]


@pytest.mark.parametrize(
    ("environ", "own"),
    [
        ({}, False),
        ({"PULUMI_CONFIG_PASSPHRASE": ""}, True),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": "/home/me/passphrase"}, True),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": "/another/checkout/.state/passphrase"}, False),
        ({"PULUMI_CONFIG_PASSPHRASE_FILE": str(project.PASSPHRASE)}, False),
    ],
)
def test_a_passphrase_of_another_checkout_is_not_the_persons(
    environ: dict[str, str], own: bool
) -> None:
    assert personal.has_passphrase(environ) is own


def test_a_salt_that_a_checkout_took_away_is_put_back(checkout: Path) -> None:
    preset = commit_preset(checkout)
    provider = {"type": "passphrase", "state": {"salt": SALT.split(": ")[1].strip()}}
    stacks = checkout / ".state" / ".pulumi" / "stacks" / project.PROJECT
    stacks.mkdir(parents=True)
    content = {"version": 3, "checkpoint": {"latest": {"secrets_providers": provider}}}
    (stacks / "local.json").write_text(json.dumps(content))
    for _ in range(2):
        state.ensure_stacks({})
        assert preset.read_text() == PLAIN + SALT
