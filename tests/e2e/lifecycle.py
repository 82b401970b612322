"""The life of each stack: up, preview, refresh, each change that the docs name, destroy.

`scripts/lifecycle` runs it on the plugins that are installed and ends at the first difference: a
preview or refresh with a change in it, a message that nobody expects, data that is gone, a server
that does not answer, anything left behind.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import requests

from infra import stack_file
from infra.outputs import Platform
from scripts.stack import files
from tests import kubernetes_cluster
from tests.e2e.stack import Stack, new_stack
from tests.ports import free_port

PROJECT = "mlflow-bench"
PREFIX = f"{PROJECT}:"
CONTENT = b"what must not get lost"

Settings = Mapping[str, Any]

CHANGES: dict[str, tuple[Settings, ...]] = {
    "local": (
        {"workers": 2, "mlflow_memory": "1700m", "allowed_hosts": "mlflow.example.com"},
        {"mlflow_memory": "1500m", "postgres_memory": "1600m"},
        {"bind": "0.0.0.0", "allowed_hosts": "mlflow.example.com", "start_timeout": 200},
        {"jobs": True},
        {"auth": "basic", "tls": True},
        {"auth": "basic", "workspaces": True},
    ),
    "single-az": (
        {"presigned": True, "s3_port": free_port(), "object_store_memory": "1g"},
        {"replicas": 2},
        {
            **{"trace_archival": "30d", "trace_retention": "365d", "trace_rollups": True},
            "trace_jobs_memory": "512m",
        },
    ),
    "multi-az": (
        {"zones": 3, "presigned": True, "s3_port": free_port(), "object_store_memory": "1g"},
        {"zones": 2, "replicas": 2},
        {"zones": 2, "auth": "basic", "tls": True, "tls_inside": True, "workspaces": True},
        {"zones": 2, "subnets": "10.203.0.0/24,10.203.1.0/24"},
    ),
    "multi-az-nfs": (
        # The check of a server that mounts by itself is root without rights.
        {"zones": 2, "nfs_client": "fuse", "nfs_memory": "1g", "auth": "basic"},
        {"zones": 1},
    ),
    "k8s": (
        {"replicas": 3},
        {"workers": 2, "mlflow_memory": "1700m"},
        {"kubernetes": {"max_replicas": 4, "ingress_host": "mlflow.example.com"}},
        {"trace_archival": "30d", "trace_retention": "365d", "trace_rollups": True},
        {"auth": "basic", "tls": True, "tls_inside": True, "workspaces": True},
    ),
}
"""What is set beside the stack's own file, one change after another."""

EXPECTED_MESSAGES = ("NFS is mounted by", "warning: bind: 0.0.0.0: the server is open to others")


class DifferenceError(AssertionError):
    """Something is not as it should be; the text says what."""


def live(
    name: str,
    folder: Path,
    tell: Callable[[str], None],
    changes: Sequence[Settings],
    *,
    alone: bool = True,
) -> None:
    """Take the stack of a preset through its life, as a stack of another name and port.

    `alone`: nothing else makes containers, so that each one more at the end is the stack's.

    Raises:
        DifferenceError: at the first one; the stack is destroyed all the same.
    """
    own = preset(name)
    on_docker = own.get("platform", Platform.DOCKER) == Platform.DOCKER
    with ExitStack() as stack_end, closing(docker.from_env(timeout=60)) as client:
        if not on_docker:
            stack_end.enter_context(kubernetes_cluster.running())
        before = things(client)
        stack = new_stack(f"lifecycle-{name}", folder)
        own |= {"port": stack.port}
        stack.configure(**own)
        with destroyed(stack, tell):
            _step(tell, "up", lambda: quiet(stack.up()))
            _settled(stack, tell)
            tell("refresh")
            unchanged(stack, "refresh", "--yes", "--skip-preview")
            _settled(stack, tell)
            path = write(stack)
            for change in (*changes, {}):
                changed = merged(own, change)
                stack.configure(**changed)
                words = ", ".join(f"{key}={value}" for key, value in change.items())
                _step(tell, f"up with {words or 'the settings of before'}", stack.up)
                _settled(stack, tell)
                read(stack, path)
        left = stack.left(client) + (sorted(things(client) - before) if alone else [])
        if left:
            raise DifferenceError(f"destroy left behind: {', '.join(left)}")


def preset(name: str) -> dict[str, Any]:
    """Return the settings of a stack file."""
    config = stack_file.read(files.path_of(name))
    return {
        key.removeprefix(PREFIX): value for key, value in config.items() if key.startswith(PREFIX)
    }


def merged(own: Settings, change: Settings) -> dict[str, Any]:
    """Return `own` with `change`, objects key by key."""
    return {
        **own,
        **{
            key: {**own.get(key, {}), **value} if isinstance(value, dict) else value
            for key, value in change.items()
        },
    }


@contextmanager
def destroyed(stack: Stack, tell: Callable[[str], None]) -> Iterator[None]:
    """Destroy the stack at the end, also after a failure."""
    try:
        yield
    except BaseException:
        stack.run("cancel", "--yes")
        stack.destroy()
        raise
    _step(tell, "destroy", stack.destroy)


def things(client: docker.DockerClient) -> set[str]:
    """Return all containers, volumes and networks that bear no stack's name, whoever made them.

    Those of a stack bear its name, and are looked for by it.
    """
    found = {
        *(("container", one.name) for one in client.containers.list(all=True, ignore_removed=True)),
        *(("volume", one.name) for one in client.volumes.list()),
        *(("network", one.name) for one in client.networks.list()),
    }
    return {f"{kind} {name}" for kind, name in found if not str(name).startswith(f"{PROJECT}-")}


def unchanged(stack: Stack, *command: str) -> None:
    """Run the engine on a stack as it is; raise `DifferenceError` when it finds a change."""
    try:
        said = stack.run(*command, "--expect-no-changes", "--diff")
    except AssertionError as error:
        raise DifferenceError(f"{command[0]} with nothing changed:\n{error}") from None
    quiet(said)


def quiet(said: str) -> None:
    """Raise `DifferenceError` for a message among the engine's output that nobody expects."""
    for line in messages(said):
        if not line.startswith(EXPECTED_MESSAGES):
            raise DifferenceError(f"an unexpected message: {line}")


def messages(said: str) -> list[str]:
    """Return the lines of the engine's diagnostics, without those that name the resource."""
    block = re.search(r"^Diagnostics:\n((?: .*\n|\n)*)", said, re.MULTILINE)
    lines = block[1].splitlines() if block else []
    return [line.strip() for line in lines if line.startswith("    ") and line.strip()]


def write(stack: Stack) -> str:
    """Log a run's artifact at a tracking server; return its path below the API."""
    made = _answer(stack, "POST", "api/2.0/mlflow/experiments/create", json={"name": "kept"})
    path = f"api/2.0/mlflow-artifacts/artifacts/{made.json()['experiment_id']}/kept.txt"
    _answer(stack, "PUT", path, data=CONTENT)
    return path


def read(stack: Stack, path: str) -> None:
    """Raise `DifferenceError` when what `write` logged is not there."""
    _answer(stack, "GET", "api/2.0/mlflow/experiments/get-by-name?experiment_name=kept")
    found = _answer(stack, "GET", path).content
    if found != CONTENT:
        raise DifferenceError(f"the artifact is another one: {found[:200]!r}")


def _answer(stack: Stack, method: str, path: str, **content: Any) -> requests.Response:
    """Ask a stack, as whom it lets in."""
    subject = stack.subject()
    known, address = subject.access, f"{subject.tracking_uri}/{path}"
    found = requests.request(
        method,
        address,
        auth=(known.username, known.password or "") if known.username else None,
        verify=str(known.ca_file) if known.ca_file else True,
        timeout=60,
        **content,
    )
    if not found.ok:
        raise DifferenceError(f"{method} {address}: {found.status_code} {found.text[:200]}")
    return found


def _settled(stack: Stack, tell: Callable[[str], None]) -> None:
    tell("preview")
    unchanged(stack, "preview")


def _step(tell: Callable[[str], None], name: str, work: Callable[[], object]) -> None:
    began = time.monotonic()
    work()
    tell(f"{name}: {time.monotonic() - began:.0f} s")
