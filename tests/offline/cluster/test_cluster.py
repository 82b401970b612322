"""The test cluster comes up whatever was killed before, serves pods, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from scripts.offline.test_cluster import build, images, lifecycle
from scripts.offline.test_cluster.layout import (
    CGROUP,
    CGROUP_ROOT,
    CONTEXT,
    HOME,
    HOST_INTERFACE,
    KUBECONFIG,
    STATE,
    kubeconfig_path,
)
from scripts.shared import ui
from scripts.shared.project import ROOT

# Nobody else's pods survive what is done to the cluster here.
pytestmark = [pytest.mark.quiet, pytest.mark.plugins]

COMMAND = [sys.executable, "-m", "scripts.offline.test_cluster"]


@pytest.fixture(scope="module", autouse=True)
def as_before() -> Iterator[None]:
    """Put a cluster that ran before back, empty; else leave none."""
    ran = lifecycle.status()[0]
    yield
    if ran:
        lifecycle.up()
    else:
        lifecycle.down()


def processes() -> dict[str, psutil.Process]:
    """The cluster's own programs by name; not those by which anyone may be asking it something."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if words and Path(words[0]).name in ("kubectl", "ctr"):
            continue
        ours = any(place in " ".join(words) for place in (str(STATE), str(build.folder())))
        if ours or words[1:4] == lifecycle.SUPERVISOR:
            name = words[1] if Path(words[0]).name == "cluster" else Path(words[0]).name
            found["supervisor" if "-m" in words else name] = process
    return found


def traces() -> list[str]:
    """What the host knows of the cluster: address translation, routes, links, mounts, cgroups."""
    lines = Path("/proc/mounts").read_text().splitlines()
    for command in (["iptables-save"], ["ip", "route"], ["ip", "-o", "address"]):
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        lines += done.stdout.splitlines()
    marks = ("KUBE", "CNI", "kubelet", HOST_INTERFACE, str(HOME), "10.97.")
    return [line for line in lines if any(mark in line for mark in marks)] + [
        str(path) for path in CGROUP_ROOT.glob(f"*/{CGROUP}")
    ]


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.2)
    return condition()


def test_up_gives_a_cluster_that_nobody_uses_by_accident() -> None:
    lifecycle.up()
    good, text = lifecycle.status()
    assert good, text
    assert "runs already" in lifecycle.up()
    known = yaml.safe_load(KUBECONFIG.read_text())
    assert "current-context" not in known
    assert [one["name"] for one in known["contexts"]] == [CONTEXT]
    assert KUBECONFIG.stat().st_mode & 0o077 == 0
    assert kubeconfig_path("/a:/b") == f"/a:/b:{KUBECONFIG}"
    assert kubeconfig_path(kubeconfig_path("/a")) == kubeconfig_path("/a")


def test_killed_programs_are_started_again() -> None:
    lifecycle.up()
    programs = ("kubelet", "containerd", "kube-apiserver", "etcd", "coredns", "provisioner")
    killed = {name: one for name, one in processes().items() if name in programs}
    assert set(killed) == set(programs)
    for one in killed.values():
        one.kill()
    assert eventually(
        lambda: all(processes().get(name, one).pid != one.pid for name, one in killed.items())
    )
    assert eventually(lambda: lifecycle.status()[0])
    for name in programs:
        assert f"{name} (started" in lifecycle.status()[1]


def test_a_claim_gets_a_volume_that_goes_with_it() -> None:
    lifecycle.up()
    name = f"test-{os.getpid()}"
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "containers": [
                {
                    "name": "idle",
                    "image": "mlflow-bench/pause:1",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": name}}],
        },
    }
    for body in (claim, pod):
        lifecycle.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(body))
    lifecycle.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s", timeout=40)
    [folder] = (STATE / "volumes").iterdir()
    lifecycle.kubectl("delete", f"pod/{name}", "--grace-period=1", timeout=60)
    lifecycle.kubectl("delete", f"pvc/{name}", timeout=60)
    assert eventually(lambda: not folder.exists())


@pytest.mark.parametrize("killed", ["supervisor", "unshare"])
def test_up_after_the_first_process_was_killed(killed: str) -> None:
    lifecycle.up()
    first = processes()["supervisor"]
    victim = first if killed == "supervisor" else first.parent()
    assert victim is not None
    victim.kill()
    assert "ready after" in lifecycle.up()
    assert lifecycle.status()[0]


def test_up_after_a_killed_up() -> None:
    lifecycle.down()
    command = subprocess.Popen([*COMMAND, "up"], cwd=ROOT, stderr=subprocess.PIPE)
    while "supervisor" not in processes():
        time.sleep(0.02)
    command.send_signal(signal.SIGKILL)
    command.communicate()
    assert "ready after" in lifecycle.up()
    assert len([one for one in processes() if one == "supervisor"]) == 1


def test_down_leaves_nothing_on_the_host() -> None:
    lifecycle.up()
    assert processes()
    # While it runs, the host has a link and a cgroup of it, but no rule and no mount.
    assert [line for line in traces() if "KUBE" in line or "kubelet" in line] == []
    assert [line for line in traces() if HOST_INTERFACE in line]
    lifecycle.down()
    assert processes() == {}
    # The kernel takes a dead namespace's end of the link apart in its own time.
    assert eventually(lambda: traces() == []), traces()
    assert not KUBECONFIG.exists()
    assert not STATE.exists()


def test_a_new_life_keeps_the_images_used_last() -> None:
    lifecycle.up()
    tag = [*images.CTR, "images", "tag", "docker.io/mlflow-bench/pause:1"]
    for number in (0, 1, 2, 3, 1):  # One is used again.
        name = f"mlflow-bench/test:{number}"
        if not images.has(name):
            subprocess.run([*tag, f"docker.io/{name}"], check=True, capture_output=True)
        assert images.has(name)
    lifecycle.down()
    lifecycle.up()
    found = {name for name in images.references() if "mlflow-bench/test:" in name}
    assert found == {"docker.io/mlflow-bench/test:1", "docker.io/mlflow-bench/test:3"}
    assert images.has("mlflow-bench/pause:1")
    subprocess.run([*images.CTR, "images", "rm", *found], check=True, capture_output=True)


def test_without_a_cluster_one_line_says_so() -> None:
    lifecycle.down()
    done = subprocess.run([*COMMAND, "status"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == ui.COULD_NOT_RUN
    assert done.stderr.splitlines() == [
        "cluster   cannot go on: does not run; start it with scripts/offline/cluster up"
    ]
    assert "there was none" in lifecycle.down()
