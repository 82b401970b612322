"""A small Pulumi project, run by the real engine."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import pytest

IMAGE = "debian:trixie-slim"
LABEL = "mlflow-bench.test"
# Tells the processes of one test's engine from others.
RUN_VARIABLE = "MLFLOW_BENCH_TEST_RUN"
# What every test program begins with.
PRELUDE = """\
import json, os
import pulumi
import pulumi_docker as docker
import pulumi_random as random

RUN = {run!r}
HERE = {here!r}

def labels(kind):
    return [kind(label={label!r}, value=RUN)]

"""


@dataclass
class Result:
    """One run of the engine: what it did with each resource, and what it said (of each)."""

    ok: bool
    text: str
    ops: dict[str, str] = field(default_factory=dict)
    diffs: dict[str, list[str]] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    @property
    def changed(self) -> dict[str, str]:
        """The operations other than leaving alone."""
        return {name: op for name, op in self.ops.items() if op not in ("same", "read", "refresh")}


@dataclass
class Project:
    """A Pulumi project of its own, with its state beside it."""

    folder: Path
    run: str
    engine: str
    env: dict[str, str]

    def name(self, suffix: str) -> str:
        """A physical name that no other test uses."""
        return f"mlflow-bench-test-{self.run}-{suffix}"

    def program(self, source: str) -> None:
        """What the stack consists of from now on."""
        prelude = PRELUDE.format(run=self.run, here=str(self.folder), label=LABEL)
        (self.folder / "__main__.py").write_text(prelude + source)

    def up(self, source: str | None = None, *, ok: bool = True, keep_going: bool = False) -> Result:
        """Deploy, without a preview before it."""
        if source is not None:
            self.program(source)
        more = ["--continue-on-error"] if keep_going else []
        return self._run("up", "--yes", "--skip-preview", *more, ok=ok)

    def preview(self, source: str | None = None, *, ok: bool = True) -> Result:
        """Say what a deployment would do."""
        if source is not None:
            self.program(source)
        return self._run("preview", ok=ok)

    def refresh(self) -> Result:
        """Look at what is really there."""
        return self._run("refresh", "--yes", "--skip-preview", ok=True)

    def destroy(self, *, ok: bool = True) -> Result:
        """Remove everything."""
        return self._run("destroy", "--yes", "--skip-preview", ok=ok)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start the engine in a process group of its own, and let it run."""
        return subprocess.Popen(
            [self.engine, *arguments, "--non-interactive", "--color=never"],
            cwd=self.folder,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _run(self, *arguments: str, ok: bool) -> Result:
        done = subprocess.run(
            [self.engine, *arguments, "--json", "--non-interactive", "--color=never"],
            cwd=self.folder,
            env=self.env,
            text=True,
            capture_output=True,
            timeout=300,
        )
        result = Result(done.returncode == 0, done.stdout + done.stderr)
        said = [done.stderr]
        for line in done.stdout.splitlines():
            event = json.loads(line) if line.startswith('{"sequence"') else {}
            if "diagnosticEvent" in event:
                message = event["diagnosticEvent"]
                if message["severity"] != "debug":
                    said.append(message["message"])
                    name = message.get("urn", "").rpartition("::")[2]
                    result.said[name] = result.said.get(name, "") + message["message"]
            if "resourcePreEvent" in event:
                step = event["resourcePreEvent"]["metadata"]
                name = step["urn"].rpartition("::")[2]
                # A replacement comes in up to three steps.
                if result.ops.get(name) != "replace":
                    result.ops[name] = step["op"]
                result.diffs[name] = _changed_properties(step) or result.diffs.get(name, [])
            if "resOutputsEvent" in event and arguments[0] == "refresh":
                # What a refresh found is known only after it.
                step = event["resOutputsEvent"]["metadata"]
                name = step["urn"].rpartition("::")[2]
                result.ops[name] = step["op"]
                result.diffs[name] = _changed_properties(step)
        result.text = "\n".join(said)
        if ok != result.ok:
            pytest.fail(f"pulumi {arguments[0]} ended with {done.returncode}:\n{result.text}")
        return result

    @property
    def raw_state(self) -> str:
        """The state file as it lies on disk."""
        return next(self.folder.glob("state/.pulumi/stacks/*/*.json")).read_text()

    def resources(self) -> dict[str, dict[str, Any]]:
        """The resources of the state by name, secrets encrypted."""
        return _by_name(json.loads(self.raw_state)["checkpoint"]["latest"])

    def outputs(self, name: str) -> dict[str, Any]:
        """One resource's outputs, secrets encrypted."""
        outputs: dict[str, Any] = self.resources()[name]["outputs"]
        return outputs

    def revealed(self, name: str) -> dict[str, Any]:
        """One resource's outputs with its secrets."""
        done = subprocess.run(
            [self.engine, "stack", "export", "--show-secrets"],
            cwd=self.folder,
            env=self.env,
            text=True,
            capture_output=True,
            check=True,
        )
        deployment = json.loads(done.stdout)["deployment"]
        revealed: dict[str, Any] = _reveal(_by_name(deployment)[name]["outputs"])
        return revealed


def _changed_properties(step: dict[str, Any]) -> list[str]:
    """The properties of a resource itself, without the place inside them."""
    paths = step.get("detailedDiff") or step.get("diffs") or []
    return sorted({re.split(r"[.\[]", path)[0] for path in paths})


def _by_name(deployment: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["urn"].rpartition("::")[2]: one for one in deployment.get("resources") or []}


def _reveal(value: Any) -> Any:
    if isinstance(value, dict):
        if "plaintext" in value:
            return json.loads(value["plaintext"])
        return {key: _reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_reveal(item) for item in value]
    return value


def sweep(client: docker.DockerClient, project: Project) -> None:
    """Remove everything a project made in Docker."""
    ours: dict[str, Any] = {"label": f"{LABEL}={project.run}"}
    for container in client.containers.list(all=True, filters=ours, ignore_removed=True):
        container.remove(force=True, v=True)
    for network in client.networks.list(filters=ours):
        network.remove()
    for volume in client.volumes.list(filters=ours):
        volume.remove()
    # Summaries only: others build images meanwhile, whose layers come and go.
    for image in client.api.images():
        for tag in image["RepoTags"] or []:
            if project.name("") in tag:
                client.images.remove(tag)


def eventually(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    """Whether the condition comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


def kill_group(process: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """Send a signal to a started engine and whatever it started in its group."""
    os.killpg(process.pid, number)
