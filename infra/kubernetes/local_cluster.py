"""How an image of this machine's Docker gets into a local cluster: kind, k3d or minikube.

Contexts and commands are those of the tools: kind.sigs.k8s.io/docs/user/quick-start,
k3d.io/stable/usage/commands/k3d_image_import, minikube.sigs.k8s.io/docs/commands/image.
"""

from typing import Any

from kubernetes.config import kube_config

MINIKUBE = "minikube.sigs.k8s.io"
"""What minikube calls itself in a kubeconfig; its contexts may have any name."""


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
    """Return the tools that claim, by an extension in the kubeconfig, to have made a context."""
    merged: Any = kube_config.KubeConfigMerger(kube_config.KUBE_CONFIG_DEFAULT_LOCATION).config
    entries: list[dict[str, Any]] = (
        [entry.value for entry in merged.value["contexts"]] if merged else []
    )
    return {
        str(extension.get("extension", {}).get("provider"))
        for entry in entries
        if entry["name"] == context
        for extension in entry["context"].get("extensions") or []
    }
