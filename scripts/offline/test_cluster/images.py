"""Images of the cluster's node, which cannot pull any."""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

from scripts.offline.test_cluster.layout import CONTAINERD_SOCKET, HOME, PAUSE_IMAGE
from scripts.prepare import ui

CTR = ("ctr", "--address", str(CONTAINERD_SOCKET), "--namespace", "k8s.io")
NOBODY = "65535:65535"

OWN = "docker.io/mlflow-bench/"
"""What the names of this project's images begin with."""

KEPT = 2
"""Images of one repository that a new life of the cluster begins with."""

USES = HOME / "uses"


def references() -> dict[str, str]:
    """Return the names of the node's images, each with the digest that it stands for."""
    done = subprocess.run([*CTR, "images", "ls"], capture_output=True, text=True)
    if done.returncode:
        raise ui.SetupError(f"the test cluster's containerd does not answer: {done.stderr.strip()}")
    rows = (line.split() for line in done.stdout.splitlines()[1:])
    return {row[0]: row[2] for row in rows}


def has(name: str) -> bool:
    """Tell whether the node has an image of this name."""
    there = _full(name) in references()
    if there:
        _note_use(name)
    return there


def prune() -> None:
    """Remove all but the images of each repository that were used last; none may be in use."""
    known = references()
    repositories: dict[str, list[str]] = {}
    for full in known:
        if full.startswith(OWN) and full != _full(PAUSE_IMAGE):
            repositories.setdefault(full.rpartition(":")[0], []).append(full)
    old = {
        full
        for tags in repositories.values()
        for full in sorted(tags, key=_last_use, reverse=True)[KEPT:]
    }
    kept = {digest for full, digest in known.items() if full.startswith(OWN) and full not in old}
    gone = {known[full] for full in old} - kept
    # The kubelet's interface keeps a second name, by which the content would stay.
    old |= {full for full, digest in known.items() if digest in gone}
    if old:
        subprocess.run([*CTR, "images", "rm", *sorted(old)], capture_output=True)
    for full in old:
        _marker(full).unlink(missing_ok=True)


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
        subprocess.run([*CTR, "images", "rm", first], capture_output=True)
    _note_use(name)
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


def _marker(full: str) -> Path:
    """Return the file whose time tells when an image was asked for last."""
    return USES / full.replace("/", "_")


def _note_use(name: str) -> None:
    USES.mkdir(parents=True, exist_ok=True)
    _marker(_full(name)).touch()


def _last_use(full: str) -> float:
    marker = _marker(full)
    return marker.stat().st_mtime if marker.exists() else 0.0


def _import(image: bytes) -> None:
    argv = [*CTR, "images", "import", "-"]
    done = subprocess.run(argv, input=image, capture_output=True)
    if done.returncode:
        raise ui.SetupError(f"the pause image cannot be loaded: {done.stderr.decode().strip()}")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
