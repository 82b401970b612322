"""Images of this machine's Docker where a cluster on this machine finds them."""

import subprocess
from typing import Any

import pulumi
from pulumi import dynamic

from infra.cluster import TEST_CONTEXT
from infra.kubernetes.local_cluster import load_command
from infra.kubernetes.own_provider import OwnProvider


class Loader(OwnProvider):
    """Copies images of this machine's Docker to the nodes of a cluster on this machine."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Copy one."""
        _load(props)
        return dynamic.CreateResult(id_=_name(props), outs=_outputs(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Tell whether the nodes lack it; only the test cluster is asked what it has."""
        changes = _name(olds) != _name(news) or olds.get("context") != news["context"]
        if not changes and news["context"] == TEST_CONTEXT:
            from scripts.offline.test_cluster import images

            changes = not images.has(_name(news))
        return dynamic.DiffResult(changes=changes)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Copy another one; those before stay, for pods that still run."""
        _load(news)
        return dynamic.UpdateResult(outs=_outputs(news))


def _load(props: dict[str, Any]) -> None:
    name = _name(props)
    if props["context"] == TEST_CONTEXT:
        from scripts.offline.test_cluster import images

        images.load(props["image"], name)
        return
    command = load_command(props["context"], name)
    assert command is not None
    _run(["docker", "tag", props["digest"], name])
    _run(command)


def _run(command: list[str]) -> None:
    """Raise `RuntimeError`, with the command's last words, when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError(f"{command[0]} is not on PATH: install it") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or ["it printed nothing"]
        raise RuntimeError(f"{' '.join(command)}: {words[-1]}")


def _name(props: dict[str, Any]) -> str:
    """Return the name on the node: that of the image, with its digest for the tag."""
    repository = str(props["image"]).partition("@")[0].rpartition("/")[2].partition(":")[0]
    return f"mlflow-bench/{repository}:{str(props['digest']).removeprefix('sha256:')[:12]}"


def _outputs(props: dict[str, Any]) -> dict[str, Any]:
    return {key: props[key] for key in ("context", "image", "digest")} | {"name": _name(props)}


class LoadedImage(dynamic.Resource):
    """An image on the nodes of a cluster on this machine."""

    name: pulumi.Output[str]
    """What a pod names it by."""

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
