"""What clients of several releases of mlflow do with a server of a stack: a table.

    python -m scripts.benchmarks.clients [--stack local] [--releases 3.16.1,3.17.2] [--write PAGE]
    python -m scripts.benchmarks.clients --url http://127.0.0.1:5000

Deploys a stack with the settings of a named one, unless `--url` names a server, on which
experiments and models then stay. Each release is a real client in an environment and a process of
its own (`scripts/shared/client_releases.py`); between it and the server is a proxy that has calls
go wrong (`flaky_proxy.py`). `--write` puts the tables into a page, between its comments for them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker

from scripts.benchmarks.faults import line, settings
from scripts.benchmarks.flaky_proxy import LOST, proxied
from scripts.benchmarks.page import replaced
from scripts.shared.client_releases import RELEASES, CannotInstallError, python_of
from scripts.shared.project import ROOT, pin
from tests.e2e.stack import end, new_stack

BEGIN = "<!-- clients -->"
CALLS = Path(__file__).with_name("client_calls.py")
TIMEOUT_S = 900

FAULTS = {
    "429": "429, not done",
    "502": "502, not done",
    "503": "503, not done",
    LOST: "done, and the answer is lost",
}


@dataclass
class Tried:
    """A client and what it did: by name, and by name and fault."""

    name: str
    does: dict[str, str] = field(default_factory=dict)
    under: dict[tuple[str, str], str] = field(default_factory=dict)


def tried(name: str, python: Path, uri: str, *options: str) -> Tried:
    """Let the client of `python` do everything against a server; `options` as client_calls has."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTHON"))}
    if options:
        environment["PYTHONPATH"] = str(ROOT)
    with proxied(uri) as proxy, tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, CALLS, proxy, f"clients-{uuid.uuid4().hex[:8]}", *options],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    found = Tried(name)
    for text in done.stdout.splitlines():
        # mlflow prints between the lines.
        said = json.loads(text) if text.startswith('{"') else {}
        if "fault" in said:
            found.under[said["what"], said["fault"]] = said["outcome"]
        elif "what" in said:
            found.does[said["what"]] = cell(said)
    if done.returncode or not found.does:
        found.does["all the rest"] = f"ended by itself: {(done.stderr.strip() or '?')[-200:]}"
    return found


def cell(said: dict[str, Any]) -> str:
    """Word what became of what a client does."""
    if said["outcome"] == "absent":
        return "has none"
    if said["outcome"] != "works":
        return f"fails: {said['outcome']}".replace("|", "\\|")[:160]
    again = said["not_at_once"]
    return f"works; at first {', '.join(again)}" if again else "works"


def tables(clients: list[Tried], missing: list[str]) -> Iterator[str]:
    """Yield the lines of both tables; `missing` says which releases cannot be had, and why."""
    whole = [client for client in clients if len(client.does) > 1]
    yield line(["", *(client.name for client in whole)])
    yield line(["---"] * (len(whole) + 1))
    for what in dict.fromkeys(what for client in whole for what in client.does):
        yield line([what, *(client.does.get(what, "not reached") for client in whole)])
    yield ""
    yield line(["", "what happens once", *(client.name for client in clients)])
    yield line(["---"] * (len(clients) + 2))
    for what in dict.fromkeys(what for client in clients for what, _ in client.under):
        for fault, title in FAULTS.items():
            cells = [client.under.get((what, fault), "not reached") for client in clients]
            yield line([what, title, *cells])
    if missing:
        yield ""
        yield from missing


def written(page: str, lines: list[str]) -> str:
    """Return a page with these lines in their place; raise `ValueError` if it has none."""
    return replaced(page, BEGIN, lines)


def compared(uri: str, releases: list[str]) -> list[str]:
    """Try each release that can be had, and the emulation; returns the lines of the tables."""
    clients, missing = [], []
    for release in releases:
        try:
            python = python_of(release)
        except CannotInstallError as error:
            missing.append(f"Not tried: {error}")
            print(missing[-1], file=sys.stderr, flush=True)
            continue
        clients.append(tried(release, python, uri))
        print(f"{release}: done", file=sys.stderr, flush=True)
    if (own := pin("mlflow")) in releases:
        name = f"{own} with 3.18's rule (emulated)"
        clients.append(tried(name, python_of(own), uri, "--rule-of-3.18"))
    return list(tables(clients, missing))


def main() -> int:
    """Deploy, try, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stack", default="local", help="named stack whose settings are taken")
    parser.add_argument("--url", help="a server that is there, in place of a stack")
    parser.add_argument("--releases", default=",".join(RELEASES), help="with commas between")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the tables into this page")
    options = parser.parse_args()
    if options.write:
        try:
            written(options.write.read_text(), [])
        except (OSError, ValueError) as error:
            parser.error(f"--write {options.write}: {error}")
    with ExitStack() as cleanup:
        uri = options.url
        if uri is None:
            folder = cleanup.enter_context(tempfile.TemporaryDirectory())
            stack = new_stack("bench-clients", Path(folder))
            stack.configure(**settings(options.stack))
            cleanup.callback(end, stack, docker.from_env())
            stack.up()
            uri = stack.outputs()["tracking_uri"]
        lines = compared(uri, options.releases.split(","))
    print("\n".join(lines))
    if options.write:
        options.write.write_text(written(options.write.read_text(), lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
