"""Where the test cluster keeps things, and its addresses."""

import os
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from scripts.prepare.pins import CACHE

CONTEXT = "mlflow-bench-test"
"""Name of the cluster's kubeconfig context."""

HOME = CACHE / "test-cluster"
LOCK = CACHE / "test-cluster.lock"
KUBECONFIG = HOME / "kubeconfig"
STATE = HOME / "state"
"""Everything of one life of the cluster; removed when it ends."""

CONTAINERD = HOME / "containerd"
"""Images, which are kept for the next life."""

CONTAINERD_SOCKET = STATE / "containerd.sock"
COMPONENTS = STATE / "components.json"
CONFIG = STATE / "config"
CERTIFICATES = STATE / "certificates"
VOLUMES = STATE / "volumes"
LOGS = STATE / "logs"

HOST_INTERFACE = "mlfb-cluster"
NODE_INTERFACE = "node0"
LINK = IPv4Network("10.97.0.0/30")
"""The one thing that the host sees of the cluster's network: a link to its node."""
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
    """Return KUBECONFIG with the cluster's file at its end; a person's own come first."""
    own = environ_value or str(Path("~/.kube/config").expanduser())
    files = [name for name in own.split(os.pathsep) if name and name != str(KUBECONFIG)]
    return os.pathsep.join([*files, str(KUBECONFIG)])
