"""The virtual environment: exactly what requirements.txt pins, from the person's own index.

A requirements.txt instead of uv.lock, which names a registry's host with every package. Python's
own venv and pip bring uv, and uv does the rest; pip's settings are translated, as uv reads none.
"""

import ast
import hashlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.shared import machine, ui
from scripts.shared.project import LOGS, ROOT, VENV, pin

PART = "python"
PYTHON = VENV / "bin" / "python"
UV = VENV / "bin" / "uv"
STAMP = VENV / ".installed"
PROGRAM_VENV = ROOT / "infra" / ".venv"
"""Pulumi looks for the environment of a dynamic provider beside the program, not the project."""


def ensure_uv() -> float:
    """Make `.venv` and put uv into it, by which all else is fetched; return the seconds it took."""
    if not PROGRAM_VENV.is_symlink():
        PROGRAM_VENV.symlink_to(Path("..") / VENV.name)
    took = 0.0
    if is_current():
        return took
    if not (PYTHON.exists() and machine.output([PYTHON, "-m", "pip", "--version"])):
        took += _create()
    if machine.output([UV, "--version"]) is None:
        took += ui.run(
            PART,
            "installing uv",
            [PYTHON, "-m", "pip", "install", "-q", f"uv=={pin('uv')}"],
            log=LOGS / "pip.log",
        )
    return took


def ensure(took: float = 0.0) -> str:
    """Make `.venv`, which has uv after `took` seconds, hold every pin; say what was done."""
    if is_current():
        return f"{PYTHON.resolve().name}, .venv holds every pin of requirements.txt"
    # Where Python is told to write no bytecode, each start would compile everything anew.
    compiled = ["--compile-bytecode"] if os.environ.get("PYTHONDONTWRITEBYTECODE") else []
    took += ui.run(
        PART,
        "installing the pins of requirements.txt",
        [UV, "pip", "sync", "--python", PYTHON, *compiled, ROOT / "requirements.txt"],
        log=LOGS / "uv.log",
        env=uv_settings(),
    )
    STAMP.write_text(_stamp())
    return f"{PYTHON.resolve().name}, .venv made from requirements.txt in {ui.elapsed(took)}"


def uv_environment(pip: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Translate pip's settings into uv's variables; those that the person set for uv stay.

    Args:
        pip: pip's settings by their long names, as `index-url`.
        environ: the environment, whose own `UV_*` and `SSL_*` variables win.
    """
    indexes = pip.get("extra-index-url", "").split()
    links = [link for link in pip.get("find-links", "").split() if "://" in link or _is_there(link)]
    settings = {
        "UV_DEFAULT_INDEX": pip.get("index-url", ""),
        "UV_INDEX": " ".join(indexes),
        # pip takes the best version of all indexes; uv would stop at the first that has the name.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if indexes else "",
        "UV_FIND_LINKS": ",".join(links),
        "UV_NO_INDEX": pip.get("no-index", ""),
        "UV_INSECURE_HOST": pip.get("trusted-host", ""),
        "UV_HTTP_TIMEOUT": pip.get("timeout") or pip.get("default-timeout", ""),
        "SSL_CERT_FILE": pip.get("cert", ""),
        "SSL_CLIENT_CERT": pip.get("client-cert", ""),
        "ALL_PROXY": pip.get("proxy", ""),
    }
    if environ.get("UV_INDEX_URL"):
        del settings["UV_DEFAULT_INDEX"]
    return {name: value for name, value in settings.items() if value and not environ.get(name)}


def parse_pip_settings(text: str) -> dict[str, str]:
    """Read the output of `pip config list`; a setting of `install` or the environment wins."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in sections and value:
            sections[section][name] = " ".join(str(ast.literal_eval(value)).split())
    return sections["global"] | sections["install"] | sections[":env:"]


def uv_settings() -> dict[str, str]:
    """Return the variables that make uv fetch from where the person's pip does."""
    text = machine.output([PYTHON, "-m", "pip", "config", "list"], timeout=60) or ""
    return uv_environment(parse_pip_settings(text), os.environ)


def _is_there(link: str) -> bool:
    return Path(link).expanduser().exists()


def _create() -> float:
    if importlib.util.find_spec("ensurepip") is None:
        if not machine.debian_root():
            raise ui.SetupError(
                f"{sys.executable} has no venv module; install it "
                "(Debian and Ubuntu: apt-get install python3-venv), then run scripts/setup again"
            )
        machine.apt_install(PART, "python3-venv", "ca-certificates")
    # Not sys.executable: that may lie in the very folder that is made anew.
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    python = base if base.exists() else Path(sys.executable)
    argv: list[str | Path] = [python, "-m", "venv", "--clear", VENV]
    return ui.run(PART, "making .venv", argv, log=LOGS / "venv.log")


def _stamp() -> str:
    """Say what .venv was made from: the pins, the interpreter, and its own place."""
    pins = hashlib.sha256((ROOT / "requirements.txt").read_bytes()).hexdigest()
    return f"{pins}\n{PYTHON.resolve()}\n{VENV}\n"


def is_current() -> bool:
    """Tell whether `.venv` was made from the present pins."""
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == _stamp()


def uv_cause(output: str) -> str:
    """Return what uv says of why it failed: the line with the cause, or its last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["no reason"]
    cause = next((line for line in lines if "because" in line.lower()), lines[-1])
    return re.sub(r"^[^A-Z]*?(cause: )?(?=[A-Z])", "", cause)
