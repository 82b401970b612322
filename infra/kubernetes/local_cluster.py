"""Clusters on this machine that take images from its Docker, known by their context.

Their names and the commands are the tools' own: kind.sigs.k8s.io/docs/user/quick-start,
k3d.io/stable/usage/commands/k3d_image_import, minikube.sigs.k8s.io/docs/commands/image.
"""

from typing import Any

from kubernetes.config import kube_config

MINIKUBE = "minikube.sigs.k8s.io"
"""What minikube, whose contexts have any name, calls itself in a kubeconfig."""


def load_command(context: str, image: str) -> list[str] | None:
    """Return the command that copies `image` of this machine's Docker into a cluster.

    None for every cluster but those of kind, k3d and minikube.
    """
    if context.startswith("kind-"):
        return ["kind", "load", "docker-image", image, "--name", context.removeprefix("kind-")]
    if context.startswith("k3d-"):
        return ["k3d", "image", "import", image, "--cluster", context.removeprefix("k3d-")]
    if MINIKUBE in _providers(context):
        return ["minikube", "image", "load", image, "--profile", context]
    return None


def _providers(context: str) -> set[str]:
    """Return who, by its own mark in the kubeconfig, made a context."""
    merged: Any = kube_config.KubeConfigMerger(kube_config.KUBE_CONFIG_DEFAULT_LOCATION).config
    contexts: list[dict[str, Any]] = (
        [one.value for one in merged.value["contexts"]] if merged else []
    )
    return {
        str(extension.get("extension", {}).get("provider"))
        for one in contexts
        if one["name"] == context
        for extension in one["context"].get("extensions") or []
    }
