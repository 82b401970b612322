"""Images of the cluster's node, which cannot pull any."""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

from scripts.offline.test_cluster.layout import CONTAINERD_SOCKET, PAUSE_IMAGE
from scripts.prepare import ui

CTR = ("ctr", "--address", str(CONTAINERD_SOCKET), "--namespace", "k8s.io")
NOBODY = "65535:65535"


def names() -> set[str]:
    """Return the references that the node has."""
    done = subprocess.run([*CTR, "images", "ls", "-q"], capture_output=True, text=True)
    if done.returncode:
        raise ui.SetupError(f"the test cluster's containerd does not answer: {done.stderr.strip()}")
    return set(done.stdout.split())


def has(name: str) -> bool:
    """Tell whether the node has an image of this name."""
    return _full(name) in names()


def load(image: str, name: str) -> bool:
    """Copy an image of this machine's Docker to the node as `name`, unless it has that name.

    Returns whether it was copied. Raises `SetupError` when Docker does not have it.
    """
    if has(name):
        return False
    full = _full(name)
    saved = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
    with saved:
        argv = [*CTR, "images", "import", "-"]
        done = subprocess.run(argv, stdin=saved.stdout, capture_output=True, text=True)
    if saved.returncode or done.returncode:
        reason = (done.stderr or "docker save failed").strip().splitlines()[-1]
        raise ui.SetupError(f"{image} cannot be loaded into the test cluster: {reason}")
    first = done.stdout.split()[1]
    if first != full:
        tagged = subprocess.run(
            [*CTR, "images", "tag", "--force", first, full], capture_output=True, text=True
        )
        if tagged.returncode:
            raise ui.SetupError(f"{image} cannot be named {name}: {tagged.stderr.strip()}")
    return True


def load_pause(program: Path) -> None:
    """Make the image of the process that holds a pod's namespaces, unless it is there."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        entry = tarfile.TarInfo("pause")
        content = program.read_bytes()
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
    processors = {"x86_64": "amd64", "aarch64": "arm64"}
    config = {
        "architecture": processors.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": NOBODY},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer.getvalue())}"]},
    }
    known = json.dumps(config).encode()
    name = f"{_digest(known)}.json"
    manifest = [{"Config": name, "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    image = io.BytesIO()
    files = {name: known, "layer.tar": layer.getvalue()}
    files["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(fileobj=image, mode="w") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    _import(image.getvalue())


def _full(name: str) -> str:
    """Return a name as the node keeps it."""
    return f"docker.io/{name if '/' in name else f'library/{name}'}"


def _import(image: bytes) -> None:
    argv = [*CTR, "images", "import", "-"]
    done = subprocess.run(argv, input=image, capture_output=True)
    if done.returncode:
        raise ui.SetupError(f"the pause image cannot be loaded: {done.stderr.decode().strip()}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
