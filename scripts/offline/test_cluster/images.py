"""Images of the cluster's node, which cannot pull any."""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.offline.test_cluster.layout import CONTAINERD_SOCKET, HOME, PAUSE_IMAGE
from scripts.shared import ui

CTR = ("ctr", "--address", str(CONTAINERD_SOCKET), "--namespace", "k8s.io")
NOBODY = "65535:65535"

OWN_PREFIX = "docker.io/mlflow-bench/"
"""Prefix of the names of this project's images."""

KEPT = 2
"""How many images of each repository `prune` keeps."""

USES = HOME / "uses"
"""A file for each image, whose time is that of its last use."""


def references() -> dict[str, str]:
    """Return the names of the node's images, each with its digest."""
    done = subprocess.run([*CTR, "images", "ls"], capture_output=True, text=True)
    if done.returncode:
        raise ui.SetupError(f"the test cluster's containerd does not answer: {done.stderr.strip()}")
    rows = (line.split() for line in done.stdout.splitlines()[1:])
    return {row[0]: row[2] for row in rows}


def has(name: str) -> bool:
    """Tell whether the node has an image of this name, and note its use."""
    present = _full_name(name) in references()
    if present:
        _note_use(name)
    return present


def prune() -> None:
    """Remove all but the `KEPT` last used images of each repository; none may be in use."""
    digests = references()
    repositories: dict[str, list[str]] = {}
    for full_name in digests:
        if full_name.startswith(OWN_PREFIX) and full_name != _full_name(PAUSE_IMAGE):
            repositories.setdefault(full_name.rpartition(":")[0], []).append(full_name)
    old = {
        full_name
        for tags in repositories.values()
        for full_name in sorted(tags, key=_last_use, reverse=True)[KEPT:]
    }
    own = {full_name for full_name in digests if full_name.startswith(OWN_PREFIX)}
    unused = {digests[name] for name in old} - {digests[name] for name in own - old}
    # The kubelet's interface adds a second name, which would keep the content.
    old |= {full_name for full_name, digest in digests.items() if digest in unused}
    if old:
        subprocess.run([*CTR, "images", "rm", *sorted(old)], capture_output=True)
    for full_name in old:
        _use_file(full_name).unlink(missing_ok=True)


def load(image: str, name: str) -> bool:
    """Copy an image of this machine's Docker to the node as `name`, unless it has that name.

    Returns whether it was copied. Raises `SetupError` when Docker does not have it.
    """
    if has(name):
        return False
    full_name = _full_name(name)
    with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as archive:
        imported = _import(image, stdin=archive.stdout)
    if archive.returncode:
        raise ui.SetupError(f"{image} cannot be loaded into the test cluster: docker save failed")
    if imported != full_name:
        tag = [*CTR, "images", "tag", "--force", imported, full_name]
        done = subprocess.run(tag, capture_output=True, text=True)
        if done.returncode:
            raise ui.SetupError(f"{image} cannot be named {name}: {done.stderr.strip()}")
        subprocess.run([*CTR, "images", "rm", imported], capture_output=True)
    _note_use(name)
    return True


PINNED = "io.cri-containerd.pinned=pinned"
"""The label by which containerd tells the kubelet to keep an image."""


def load_pause(program: Path) -> None:
    """Load the image of the process that holds a pod's namespaces, made from `program`."""
    layer = _tar({"pause": program.read_bytes()})
    processors = {"x86_64": "amd64", "aarch64": "arm64"}
    config = json.dumps(
        {
            "architecture": processors.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": NOBODY},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
        }
    ).encode()
    config_name = f"{_digest(config)}.json"
    manifest = [{"Config": config_name, "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    archive = {
        config_name: config,
        "layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    name = _import("the pause image", input=_tar(archive))
    # Without it no pod starts: a full disk, for which the kubelet removes images, must not take it.
    subprocess.run([*CTR, "images", "label", name, PINNED], check=True, capture_output=True)


def _import(image: str, **source: Any) -> str:
    """Import an archive, the standard input of `source`; return the image's name on the node."""
    done = subprocess.run([*CTR, "images", "import", "-"], capture_output=True, **source)
    if done.returncode:
        lines = done.stderr.decode().strip().splitlines() or ["ctr printed nothing"]
        raise ui.SetupError(f"{image} cannot be loaded into the test cluster: {lines[-1]}")
    return str(done.stdout.decode().split()[1])


def _tar(files: Mapping[str, bytes]) -> bytes:
    """Return an archive of executable files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _full_name(name: str) -> str:
    """Return a name as the node keeps it."""
    return f"docker.io/{name if '/' in name else f'library/{name}'}"


def _use_file(full_name: str) -> Path:
    return USES / full_name.replace("/", "_")


def _note_use(name: str) -> None:
    USES.mkdir(parents=True, exist_ok=True)
    _use_file(_full_name(name)).touch()


def _last_use(full_name: str) -> float:
    file = _use_file(full_name)
    return file.stat().st_mtime if file.exists() else 0.0


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
