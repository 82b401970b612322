"""State inside the checkout: passphrase, file backend, and the stacks of stacks/*.yaml."""

import fcntl
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from scripts.shared import machine, personal, ui
from scripts.shared.project import LOGS, PASSPHRASE, PROJECT, ROOT, STATE
from scripts.stack import files

PART = "state"
FILTER = "mlflow-bench-salt"

WITHOUT_SALT = (
    "awk '{ line[NR] = $0 } /(^|[^a-zA-Z0-9_-])secure\"?:/ { keep = 1 } "
    "END { for (n = 1; n <= NR; n++) if (keep || line[n] !~ /^encryptionsalt:/) print line[n] }'"
)
"""Drops `encryptionsalt` from a stack file that has no secret in it.

Pulumi writes that line at first use. It belongs to the passphrase of one checkout, so a committed
one would lock out every other; where a `secure:` value needs it, it stays.
"""


def ensure_folder() -> None:
    """Make the state folder, readable by its owner alone."""
    STATE.mkdir(mode=0o700, exist_ok=True)
    STATE.chmod(0o700)
    LOGS.mkdir(exist_ok=True)
    # What nobody writes since Pulumi.yaml says `metadata=skip`: where an engine was killed over
    # one of an earlier version, it is empty, and Pulumi takes the stack beside it for unreadable.
    for attributes in (STATE / ".pulumi").rglob("*.attrs"):
        attributes.unlink(missing_ok=True)


def ensure_passphrase() -> str:
    """Generate the passphrase of this checkout where the person has none of their own."""
    if personal.has_passphrase():
        return "your own passphrase"
    if PASSPHRASE.exists():
        PASSPHRASE.chmod(0o600)
        return f"passphrase in {PASSPHRASE.relative_to(ROOT)}"
    if any(_stack_files("*")) and not personal.has_backend():
        raise ui.SetupError(
            f"{PASSPHRASE} is gone but stacks of it exist, and nothing else can read them: "
            f"put it back, or remove what they deployed by hand and delete {STATE}"
        )
    for config in files.paths():
        drop_salt(config)  # Left by a passphrase that is gone.
    with os.fdopen(os.open(PASSPHRASE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))
    return f"passphrase generated in {PASSPHRASE.relative_to(ROOT)}"


def ensure_filter() -> None:
    """Make git leave the salt out of what it compares and commits (see .gitattributes)."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return
    git = ["git", "-C", str(ROOT)]
    if machine.output([*git, "config", "--get", f"filter.{FILTER}.clean"]) != WITHOUT_SALT:
        machine.output([*git, "config", f"filter.{FILTER}.clean", WITHOUT_SALT])
    for config in files.paths():
        # Git takes a file of another size for changed without a look through the filter, until
        # it is added; that stages nothing where there is no difference. Only git's own files.
        tracked = machine.output([*git, "ls-files", str(config)])
        if tracked and machine.output([*git, "diff", "--quiet", "--", str(config)]) is not None:
            machine.output([*git, "add", "--", str(config)])


def ensure_stacks(env: Mapping[str, str]) -> str:
    """Create each preset's stack in the checkout's own backend; return their names."""
    if personal.has_backend():
        return "your own backend (PULUMI_BACKEND_URL)"
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two set-ups at once would both make a new one
        for name in files.names():
            if not any(_stack_files(name)):
                # By the command line: the Automation API is a package, which may not be here yet.
                argv = ["pulumi", "stack", "init", name, "--no-select", "--non-interactive"]
                log = LOGS / f"init-{name}.log"
                ui.run(PART, f"creating stack {name}", argv, log=log, env=env, cwd=ROOT)
            _restore_salt(name)
    return f"stacks {', '.join(files.names()) or 'none'} in {STATE.relative_to(ROOT)}"


def forget(name: str) -> None:
    """Remove what Pulumi keeps of a stack that it was told to remove: it may be made again."""
    for path in _stack_files(name):
        path.unlink(missing_ok=True)


def _stack_files(name: str) -> list[Path]:
    return list((STATE / ".pulumi" / "stacks" / PROJECT).glob(f"{name}.json*"))


def _restore_salt(name: str) -> None:
    """Put a stack's salt back where a checkout of another commit took it away.

    Else Pulumi makes a new one at its next run, and git sees another size.
    """
    config = files.path_of(name)
    state = STATE / ".pulumi" / "stacks" / PROJECT / f"{name}.json"
    if "encryptionsalt:" in config.read_text() or not state.exists():
        return
    deployment = json.loads(state.read_text())["checkpoint"].get("latest") or {}
    provider = deployment.get("secrets_providers") or {}
    if provider.get("type") == "passphrase":
        with config.open("a") as file:
            file.write(f"encryptionsalt: {provider['state']['salt']}\n")


def drop_salt(config: Path) -> None:
    """Take the salt out of a stack file that has no secret, for whichever passphrase is next."""
    text = config.read_bytes()
    clean = subprocess.run(["sh", "-c", WITHOUT_SALT], input=text, capture_output=True, check=True)
    if clean.stdout != text:
        config.write_bytes(clean.stdout)
