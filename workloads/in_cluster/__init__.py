"""Load from a pod inside the cluster, while this machine observes, reads back and judges."""

import hashlib
from dataclasses import replace
from pathlib import Path

from infra.outputs import Cluster, Target
from workloads import CannotRunError
from workloads.scenarios.artifacts import ArtifactsParameters, Via
from workloads.scenarios.scenario import Parameters, Scenario
from workloads.target.target import Subject

ROOT = Path(__file__).resolve().parents[2]


def cluster(target: Target | None) -> Cluster | None:
    """Return the cluster that the load comes from, None if it comes from this machine."""
    cluster_with_load = target.cluster if target else None
    return cluster_with_load if cluster_with_load and cluster_with_load.load_image else None


def load_from_this_machine(subject: Subject) -> Subject:
    """Return the subject with its load from this machine instead of the cluster.

    Raises `CannotRunError` where it comes from this machine anyway.
    """
    if (cluster_with_load := cluster(subject.target)) is None or subject.target is None:
        raise CannotRunError(
            f"--outside: the load of {subject.name} comes from this machine anyway; leave it out"
        )
    outside = cluster_with_load.model_copy(update={"load_image": None})
    return replace(subject, target=subject.target.model_copy(update={"cluster": outside}))


def check(subject: Subject, scenario: Scenario, parameters: Parameters) -> None:
    """Raise `CannotRunError` for a load that would have to come from the cluster, and cannot."""
    if cluster(subject.target) is None:
        return
    if scenario.breaks:
        why = "its faults and its probe are on this machine"
    elif isinstance(parameters, ArtifactsParameters) and parameters.via is Via.DIRECT:
        why = "the keys of the artifact store stay on this machine"
    else:
        return
    raise CannotRunError(
        f"{scenario.name}: its load cannot come from inside the cluster, as {why}; add --outside"
    )


def code_digest() -> str:
    """Return the SHA-256 of the code, which has to be the same in the pod and here."""
    digest = hashlib.sha256()
    contract = [ROOT / "infra" / name for name in ("kubeconfig.py", "labels.py", "outputs.py")]
    for path in sorted([*ROOT.glob("workloads/**/*.py"), *contract]):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
