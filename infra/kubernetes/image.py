"""Copies images of this machine's Docker to the nodes of a local cluster."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi import dynamic

from infra.kubernetes.local_cluster import load_command
from infra.own_provider import OwnProvider
from infra.specification.cluster import TEST_CONTEXT

TEST_CLUSTER = [sys.executable, "-m", "scripts.offline.test_cluster"]
"""The command of the test cluster, run in the checkout."""

CHECKOUT = Path(__file__).parents[2]


class Loader(OwnProvider):
    """Copies an image to the nodes."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Copy it."""
        _load(props)
        return dynamic.CreateResult(id_=_name(props), outs=_outputs(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Tell whether the nodes lack it; only the test cluster can be asked."""
        changes = _name(olds) != _name(news) or olds.get("context") != news["context"]
        if not changes and news["context"] == TEST_CONTEXT:
            changes = not _on_test_cluster(_name(news))
        return dynamic.DiffResult(changes=changes)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Copy another image; the former stays for the pods that still run it."""
        _load(news)
        return dynamic.UpdateResult(outs=_outputs(news))


def _load(props: dict[str, Any]) -> None:
    name = _name(props)
    if props["context"] == TEST_CONTEXT:
        _run([*TEST_CLUSTER, "load", props["image"], name])
        return
    command = load_command(props["context"], name)
    assert command is not None
    _run(["docker", "tag", props["digest"], name])
    _run(command)


def _on_test_cluster(name: str) -> bool:
    return _run([*TEST_CLUSTER, "has", name], expected=(0, 1)) == 0


def _run(command: list[str], expected: Sequence[int] = (0,)) -> int:
    """Return the exit status; raise `RuntimeError` with the last line printed if unexpected."""
    try:
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError(f"{command[0]} is not on PATH: install it") from None
    if done.returncode not in expected:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it printed nothing"]
        raise RuntimeError(f"{' '.join(command)}: {lines[-1]}")
    return done.returncode


def _name(props: dict[str, Any]) -> str:
    """Return the name on the nodes: the image's repository, tagged by its digest."""
    repository = str(props["image"]).partition("@")[0].rpartition("/")[2].partition(":")[0]
    return f"mlflow-bench/{repository}:{str(props['digest']).removeprefix('sha256:')[:12]}"


def _outputs(props: dict[str, Any]) -> dict[str, Any]:
    return {key: props[key] for key in ("context", "image", "digest")} | {"name": _name(props)}


class LoadedImage(dynamic.Resource):
    """An image on the nodes of a local cluster."""

    name: pulumi.Output[str]
    """Name by which a pod refers to it."""

    def __init__(
        self,
        name: str,
        context: str,
        image: str,
        digest: pulumi.Input[str],
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {"context": context, "image": image, "digest": digest, "name": None}
        super().__init__(Loader(), f"{name}-loaded", props, opts)
