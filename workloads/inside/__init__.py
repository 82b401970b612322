"""Load from inside a cluster: a Job's pod makes it; this machine watches, reads back and judges."""

import hashlib
from dataclasses import replace
from pathlib import Path

from infra.outputs import Cluster, Target
from workloads.errors import CannotRunError
from workloads.scenarios.artifacts import ArtifactsParameters, Via
from workloads.scenarios.scenario import Parameters, Scenario
from workloads.target import Subject

ROOT = Path(__file__).resolve().parents[2]


def cluster(target: Target | None) -> Cluster | None:
    """Return the cluster that the load comes from; None: it comes from this machine."""
    found = target.cluster if target else None
    return found if found and found.load_image else None


def from_here(subject: Subject) -> Subject:
    """Return a subject whose load comes from this machine, although its stack has it inside.

    Raises `CannotRunError` where it comes from here anyway.
    """
    if (inside := cluster(subject.target)) is None or subject.target is None:
        raise CannotRunError(
            f"--outside: the load of {subject.name} comes from this machine anyway; leave it out"
        )
    left = inside.model_copy(update={"load_image": None})
    return replace(subject, target=subject.target.model_copy(update={"cluster": left}))


def check(subject: Subject, scenario: Scenario, parameters: Parameters) -> None:
    """Raise `CannotRunError` for a load that cannot come from inside, and would have to."""
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


def sources() -> str:
    """Return the SHA-256 of the code that loads: the pod's has to be this machine's."""
    digest = hashlib.sha256()
    for path in sorted([*ROOT.glob("workloads/**/*.py"), ROOT / "infra/outputs.py"]):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
