"""A stack in a state of its own: a test never meets a person's deployments."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import requests
import yaml

from infra.docker.guard import sweep
from infra.labels import LABEL_STACK
from infra.outputs import AuditSecrets, Target
from tests.ports import free_port
from workloads.target.access import Access
from workloads.target.target import Subject

ROOT = Path(__file__).resolve().parents[2]

_BACKEND = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["backend"]["url"]
BACKEND_OPTIONS = "".join(_BACKEND.partition("?")[1:])
"""How the project keeps its states, as the query of a backend's address."""

CLIENT = """
import sys, mlflow
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
mlflow.set_tracking_uri(sys.argv[1])
mlflow.set_experiment("by hand")
mlflow.sklearn.autolog()
x, y = load_diabetes(return_X_y=True)
with mlflow.start_run() as run:
    RandomForestRegressor(n_estimators=5, random_state=1).fit(x, y)
client = mlflow.MlflowClient()
[model] = client.search_logged_models(run.info.experiment_id and [run.info.experiment_id])
loaded = mlflow.sklearn.load_model(model.model_uri)
print(run.info.run_id, client.get_run(run.info.run_id).data.params["n_estimators"],
      loaded.n_estimators)
"""
"""What a person would write, given the tracking server's address."""


@dataclass
class Stack:
    """The Pulumi command line on one test stack."""

    name: str
    folder: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PULUMI_BACKEND_URL": f"file://{self.folder}{BACKEND_OPTIONS}",
            "PULUMI_CONFIG_PASSPHRASE": "e2e",
        }

    @property
    def config_file(self) -> Path:
        return self.folder / f"Pulumi.{self.name}.yaml"

    def configure(self, **values: Any) -> None:
        """Write the stack file anew, keeping the salt of its secrets."""
        known = yaml.safe_load(self.config_file.read_text()) if self.config_file.exists() else {}
        settings = {"port": self.port} | values
        known["config"] = {f"mlflow-bench:{key}": value for key, value in settings.items()}
        self.config_file.write_text(yaml.safe_dump(known))

    def set_secret(self, path: str, value: str) -> None:
        """Encrypt one value below a key of the stack file, as a person does."""
        subprocess.run(
            [
                *("pulumi", "config", "set", "--secret", "--path", f"mlflow-bench:{path}"),
                *(f"--stack={self.name}", f"--config-file={self.config_file}", "--non-interactive"),
            ],
            cwd=ROOT,
            env=self.environment,
            input=value,
            text=True,
            capture_output=True,
            check=True,
        )

    def command(self, *arguments: str) -> list[str]:
        command = ["pulumi", *arguments, f"--stack={self.name}", "--non-interactive"]
        if arguments[0] in ("up", "preview", "refresh", "destroy"):
            command.append(f"--config-file={self.config_file}")
        return [*command, "--color=never"]

    def run(self, *arguments: str, ok: bool = True) -> str:
        """Run `pulumi` and return all that it printed; fail when `ok` is not what happened."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert (done.returncode == 0) == ok, done.stdout
        assert "Traceback" not in done.stdout, done.stdout
        return done.stdout

    def up(self, ok: bool = True) -> str:
        return self.run("up", "--yes", "--skip-preview", ok=ok)

    def destroy(self) -> str:
        return self.run("destroy", "--yes", "--skip-preview")

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self.command(*arguments),
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def outputs(self) -> dict[str, Any]:
        shown = subprocess.run(
            ["pulumi", "stack", "output", "--json", "--show-secrets", f"--stack={self.name}"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, Any] = json.loads(shown.stdout)
        return found

    def subject(self) -> Subject:
        """Return it as the workloads see a deployed stack."""
        outputs = self.outputs()
        target = Target.model_validate(outputs["target"])
        secrets = AuditSecrets.model_validate(outputs["audit_secrets"])
        ca_file = Path(target.ca_file) if target.ca_file else None
        known = Access(ca_file, target.username, outputs.get("admin_password"))
        return Subject(self.name, target.tracking_uri, target, secrets, access=known)

    @contextmanager
    def in_project(self) -> Iterator[None]:
        """Have its file in stacks/, where commands look for those of the project."""
        named = ROOT / "stacks" / self.config_file.name
        named.write_text(self.config_file.read_text())
        try:
            yield
        finally:
            named.unlink()

    def script(self, name: str, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run scripts/NAME on it, as a person does."""
        with self.in_project():
            return subprocess.run(
                [ROOT / "scripts" / name, self.name, *arguments],
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=300,
            )

    def workload(self, results: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a scenario against it, as a person does, with its files in `results`."""
        command = [sys.executable, "-m", "workloads", "run", "--stack", self.name, "--once"]
        with self.in_project():
            done = subprocess.run(
                [*command, "--results", str(results), *arguments],
                cwd=ROOT,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=600,
            )
        assert "Traceback" not in done.stderr + done.stdout
        assert (results / "result.json").exists(), done.stderr
        return done

    def exposed(self, client: docker.DockerClient) -> dict[str, str]:
        """Return what shows of it, by place: its state, and each container from outside."""
        places = {"state": "".join(path.read_text() for path in self.folder.rglob("*.json*"))}
        for container in client.containers.list(
            all=True, filters={"label": f"{LABEL_STACK}={self.name}"}, ignore_removed=True
        ):
            places[f"inspect of {container.name}"] = json.dumps(container.attrs)
            places[f"logs of {container.name}"] = container.logs().decode()
            if container.status == "running":
                shown = container.exec_run(
                    ["sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ"]
                )
                assert isinstance(shown.output, bytes)
                places[f"processes of {container.name}"] = shown.output.decode(errors="replace")
        return places

    def left(self, client: docker.DockerClient) -> list[str]:
        """Return the names of all that carries the stack's label."""
        chosen: dict[str, str | list[str] | bool] = {"label": f"mlflow-bench.stack={self.name}"}
        return [
            str(thing.name)
            for kind in (
                client.containers.list(all=True, filters=chosen, ignore_removed=True),
                client.networks.list(filters=chosen),
                client.volumes.list(filters=chosen),
            )
            for thing in kind
        ]


def new_stack(name: str, folder: Path) -> Stack:
    """Create the stack `name` with its state and its stack file in `folder`."""
    forget(name)
    stack = Stack(name, folder, free_port())
    stack.run("stack", "init", "--no-select")
    # Pulumi writes the salt into stacks/, where the stack would look like one of the project's.
    shutil.move(ROOT / "stacks" / stack.config_file.name, stack.config_file)
    stack.configure()
    return stack


def forget(name: str) -> None:
    """Remove what a test on the stack `name` left that was killed, as nobody has its state."""
    sweep({LABEL_STACK: name})


def end(stack: Stack, client: docker.DockerClient) -> None:
    """Destroy what a test left, whatever state it is in, and see that nothing remains."""
    stack.run("cancel", "--yes")
    stack.destroy()
    assert stack.left(client) == []


@contextmanager
def deployed(
    name: str, folder: Path, client: docker.DockerClient, **settings: object
) -> Iterator[Stack]:
    """Have the stack `name` up with these settings; destroy it whatever happened."""
    stack = new_stack(name, folder)
    stack.configure(**settings)
    try:
        stack.up()
        yield stack
    finally:
        end(stack, client)


def interrupt(process: "subprocess.Popen[str]", sign: signal.Signals) -> None:
    os.kill(process.pid, sign)


def train(uri: str) -> str:
    """Train and load a model as a person does; return the run's id."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CLIENT, uri],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    run, *estimators = done.stdout.split()[-3:]
    assert estimators == ["5", "5"]
    return run


def refusals(said: str, key: str) -> set[str]:
    """Return what is refused because of a key: the engine says it as progress, and at its end."""
    return {line.partition("error: ")[2] for line in said.splitlines() if f"error: {key}: " in line}


def search(uri: str, **headers: str) -> requests.Response:
    return requests.post(
        f"{uri}/api/2.0/mlflow/experiments/search",
        json={"max_results": 5},
        headers=headers,
        timeout=10,
    )


def eventually(condition: Callable[[], object], seconds: float = 300) -> None:
    """Wait until `condition` holds; the limit only ends a test that would wait for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)
