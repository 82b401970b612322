"""The configuration files and the command lines of the cluster's programs."""

import base64
import json
from pathlib import Path
from typing import Any

from scripts.offline.test_cluster.layout import (
    API,
    API_PORT,
    CERTIFICATES,
    CGROUP,
    CONFIG,
    CONTAINERD,
    CONTAINERD_SOCKET,
    CONTEXT,
    DNS,
    DOMAIN,
    KUBECONFIG,
    LOGS,
    NODE,
    NODE_NAME,
    PAUSE_IMAGE,
    PODS,
    SERVICES,
    STATE,
    VOLUMES,
)

RUN = Path("/run")
"""A file system in memory that only the cluster's processes see."""

OWN_KUBECONFIG = CONFIG / "kubeconfig"
"""For the cluster's programs; that for people has no current context."""

ETCD = "http://127.0.0.1:2379"

CONTAINERD_TOML = f"""\
version = 2
root = "{CONTAINERD}"
state = "{RUN}/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Lowering a score needs a capability that a container of CI may not have.
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{{cni}}"
    conf_dir = "{CONFIG}/cni"
"""

COREFILE = f"""\
.:53 {{
    bind {DNS}
    ready 127.0.0.1:8181
    errors
    cache 30
    kubernetes {DOMAIN} {PODS} {SERVICES} {{
        kubeconfig {OWN_KUBECONFIG} {CONTEXT}
        pods insecure
    }}
}}
"""


def write(programs: Path) -> None:
    """Write every file; `programs` is the folder that was built, with `cni` inside."""
    (CONFIG / "cni").mkdir(parents=True)
    (CONFIG / "containerd.toml").write_text(CONTAINERD_TOML.format(cni=programs / "cni"))
    (CONFIG / "Corefile").write_text(COREFILE)
    (CONFIG / "resolv.conf").write_text(f"nameserver {DNS}\n")
    _write(CONFIG / "cni" / "10-pods.conflist", _network())
    _write(CONFIG / "kubelet.json", _kubelet())
    _write(CONFIG / "kube-proxy.json", _proxy())
    for path, more in ((KUBECONFIG, {}), (OWN_KUBECONFIG, {"current-context": CONTEXT})):
        path.touch(mode=0o600)
        _write(path, kubeconfig() | more)


def commands(programs: Path) -> dict[str, list[str]]:
    """Return the command line of each program that runs as long as the cluster."""
    own = str(programs / "cluster")
    return {
        "containerd": ["containerd", "--config", f"{CONFIG}/containerd.toml"],
        # In memory: nothing outlives the cluster.
        "etcd": [
            own,
            "etcd",
            f"--data-dir={RUN}/etcd",
            "--unsafe-no-fsync",
            f"--listen-client-urls={ETCD}",
            f"--advertise-client-urls={ETCD}",
            "--log-level=warn",
        ],
        "kube-apiserver": [
            own,
            "kube-apiserver",
            f"--etcd-servers={ETCD}",
            f"--advertise-address={NODE}",
            f"--secure-port={API_PORT}",
            f"--service-cluster-ip-range={SERVICES}",
            "--authorization-mode=RBAC",
            f"--client-ca-file={CERTIFICATES}/ca.crt",
            f"--tls-cert-file={CERTIFICATES}/apiserver.crt",
            f"--tls-private-key-file={CERTIFICATES}/apiserver.key",
            f"--kubelet-client-certificate={CERTIFICATES}/admin.crt",
            f"--kubelet-client-key={CERTIFICATES}/admin.key",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-account-key-file={CERTIFICATES}/service-accounts.key",
            f"--service-account-signing-key-file={CERTIFICATES}/service-accounts.key",
        ],
        "kube-controller-manager": [
            own,
            "kube-controller-manager",
            f"--kubeconfig={OWN_KUBECONFIG}",
            "--leader-elect=false",
            f"--root-ca-file={CERTIFICATES}/ca.crt",
            f"--service-account-private-key-file={CERTIFICATES}/service-accounts.key",
        ],
        "kube-scheduler": [
            own,
            "kube-scheduler",
            f"--kubeconfig={OWN_KUBECONFIG}",
            "--leader-elect=false",
        ],
        "kubelet": [
            own,
            "kubelet",
            f"--config={CONFIG}/kubelet.json",
            f"--kubeconfig={OWN_KUBECONFIG}",
            f"--root-dir={STATE}/kubelet",
            f"--cert-dir={STATE}/kubelet-certificates",
            f"--hostname-override={NODE_NAME}",
            f"--node-ip={NODE}",
        ],
        "kube-proxy": [own, "kube-proxy", f"--config={CONFIG}/kube-proxy.json"],
        "coredns": [own, "coredns", "-conf", f"{CONFIG}/Corefile", "-quiet"],
        "provisioner": [own, "provisioner", str(OWN_KUBECONFIG), str(VOLUMES)],
    }


def kubeconfig() -> dict[str, Any]:
    """Return the administrator's kubeconfig.

    Without a current context: merged with one's own, it never leads here by default.
    """

    def content(name: str) -> str:
        return base64.b64encode((CERTIFICATES / name).read_bytes()).decode()

    cluster = {"server": API, "certificate-authority-data": content("ca.crt")}
    user = {
        "client-certificate-data": content("admin.crt"),
        "client-key-data": content("admin.key"),
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": CONTEXT, "user": user}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
    }


def _network() -> dict[str, Any]:
    """Return the network's configuration: pods are routed, not bridged.

    With a bridge, and without br_netfilter, a Service would not lead a pod to its neighbour: the
    answer would bypass the node's address translation.
    """
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(PODS)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": f"{RUN}/cni",
    }
    pods = {"type": "ptp", "ipMasq": True, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [pods]}


def _kubelet() -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(NODE),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": f"{CERTIFICATES}/ca.crt"},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [str(DNS)],
        "clusterDomain": DOMAIN,
        "resolvConf": f"{CONFIG}/resolv.conf",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "featureGates": {"KubeletInUserNamespace": True},
        "podLogsDir": f"{STATE}/pods",
        # Images are loaded by hand and cannot be pulled again: a full disk must not remove them.
        "imageGCHighThresholdPercent": 100,
        # Nor is one that was loaded asked for anew by its name, once a pod pulled the same from a
        # registry.
        "imagePullCredentialsVerificationPolicy": "NeverVerify",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1Gi"},
    }


def _proxy() -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": str(PODS),
        "hostnameOverride": NODE_NAME,
        "clientConnection": {"kubeconfig": str(OWN_KUBECONFIG)},
        # 0 leaves the kernel's own settings, which may be the host's.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


def log(component: str) -> Path:
    """Return the log file of a component."""
    return LOGS / f"{component}.log"
