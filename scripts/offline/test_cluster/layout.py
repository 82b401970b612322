"""The test cluster's files, addresses and names."""

import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from scripts.shared.project import CACHE

CONTEXT = "mlflow-bench-test"
"""Name of the cluster's kubeconfig context."""

HOME = CACHE / "test-cluster"
LOCK = CACHE / "test-cluster.lock"
KUBECONFIG = HOME / "kubeconfig"
STATE = HOME / "state"
"""All files of one run of the cluster; removed when it ends."""

CONTAINERD = HOME / "containerd"
"""Images, which are kept for the next run."""

CONTAINERD_SOCKET = STATE / "containerd.sock"
COMPONENTS = STATE / "components.json"
CONFIG = STATE / "config"
CERTIFICATES = STATE / "certificates"
VOLUMES = STATE / "volumes"
LOGS = STATE / "logs"

HOST_INTERFACE = "mlfb-cluster"
NODE_INTERFACE = "node0"
LINK = IPv4Network("10.97.0.0/30")
"""A link to the node, all that the host sees of the cluster's network."""
HOST, NODE = LINK[1], LINK[2]
PODS = IPv4Network("10.97.64.0/20")
SERVICES = IPv4Network("10.97.128.0/20")
API_SERVICE = SERVICES[1]
API_PORT = 6443
API = f"https://{NODE}:{API_PORT}"
DNS: IPv4Address = NODE
DOMAIN = "cluster.local"
NODE_NAME = "node"

CGROUP = "mlflow-bench-cluster"
CGROUP_ROOT = Path("/sys/fs/cgroup")

PAUSE_IMAGE = "mlflow-bench/pause:1"
PROVISIONER = "mlflow-bench/local"


def kubeconfig_path(environ_value: str) -> str:
    """Return KUBECONFIG with the cluster's file last, after those of the user."""
    own = environ_value or str(Path("~/.kube/config").expanduser())
    files = [name for name in own.split(os.pathsep) if name and name != str(KUBECONFIG)]
    return os.pathsep.join([*files, str(KUBECONFIG)])
