"""A load from a pod of the cluster: what is refused, the Job, and the two clocks of one history."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.outputs import Cluster, Platform, Target
from tests.unit.workloads.builders import Folder, S, target
from workloads import CannotRunError, in_cluster
from workloads.history import history
from workloads.in_cluster.clocks import clock_difference_s, clock_warning, load_spans, merge
from workloads.in_cluster.job_manifest import failure_of, manifest
from workloads.scenarios import SCENARIOS
from workloads.target.target import Subject, at
from workloads.verdict.judge import judge

INSIDE = Cluster(
    context="work",
    namespace="mlflow",
    tracking_uri="http://mlflow.mlflow.svc:5000",
    load_image="registry.example.com/workload:1",
)


def subject(cluster: Cluster | None = INSIDE) -> Subject:
    stack: Target = target(platform=Platform.KUBERNETES, cluster=cluster)
    return Subject("local", "http://127.0.0.1:1", stack)


@pytest.mark.parametrize(
    ("scenario", "parameters", "why"),
    [
        ("resilience", {}, "its faults and its probe are on this machine; add --outside"),
        ("artifacts", {"via": "direct"}, "the keys of the artifact store stay on this machine"),
        ("artifacts", {}, None),
        *((name, {}, None) for name in SCENARIOS if name not in ("resilience", "artifacts")),
    ],
)
def test_what_cannot_come_from_inside_is_refused_in_one_line(
    scenario: str, parameters: dict[str, Any], why: str | None
) -> None:
    chosen = SCENARIOS[scenario]
    own = chosen.parameters_of("quick")
    own = type(own).model_validate(own.model_dump() | parameters)
    # From this machine all of it can.
    in_cluster.check(at("http://x"), chosen, own)
    in_cluster.check(in_cluster.load_from_this_machine(subject()), chosen, own)
    if why is None:
        in_cluster.check(subject(), chosen, own)
        return
    with pytest.raises(CannotRunError) as caught:
        in_cluster.check(subject(), chosen, own)
    assert str(caught.value).startswith(f"{scenario}: its load cannot come from inside")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        at("http://x"),
        subject(None),
        subject(INSIDE.model_copy(update={"load_image": None})),
        replace(subject(), target=target()),
    ],
)
def test_a_load_from_here_anyway_needs_no_flag(given: Subject) -> None:
    assert in_cluster.cluster(given.target) is None
    with pytest.raises(CannotRunError, match=r"^--outside: .* anyway; leave it out$"):
        in_cluster.load_from_this_machine(given)


def test_the_job_keeps_to_the_restricted_level_and_is_no_component() -> None:
    stack = subject().target
    assert stack
    body = manifest(stack, processes=4, with_access=False)
    pod = body["spec"]["template"]["spec"]
    rights = pod["securityContext"]
    assert rights["runAsNonRoot"] is True
    assert rights["runAsUser"] == rights["fsGroup"] == 10001
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["image"] == "registry.example.com/workload:1"
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    writable = {one["name"] for one in pod["volumes"] if "emptyDir" in one}
    assert {path for path, name in mounts.items() if name in writable} == {"/results", "/tmp"}
    labels = body["spec"]["template"]["metadata"]["labels"]
    assert labels["mlflow-bench.stack"] == "local"
    assert labels["mlflow-bench.component"] not in {one.name for one in stack.components}
    # One try, and gone by itself where nobody is left to remove it.
    assert (body["spec"]["backoffLimit"], pod["restartPolicy"]) == (0, "Never")
    assert body["spec"]["ttlSecondsAfterFinished"] > 0


def test_what_lets_the_load_in_is_a_secret_of_files() -> None:
    stack = subject().target
    assert stack
    body = manifest(stack, processes=1, with_access=True)
    pod = body["spec"]["template"]["spec"]
    [volume] = [one for one in pod["volumes"] if "secret" in one]
    assert volume["secret"] == {"secretName": "load", "defaultMode": 0o440}
    [container] = pod["containers"]
    mounts = {one["mountPath"]: one for one in container["volumeMounts"]}
    assert mounts["/run/access"] == {
        "name": volume["name"],
        "mountPath": "/run/access",
        "readOnly": True,
    }
    assert [one["name"] for one in container["env"]] == ["NODE"]


def pod(phase: str, **changes: Any) -> Any:
    status = {"container_statuses": None, "conditions": None, "message": None, "reason": None}
    going = changes.pop("going", None)
    return SimpleNamespace(
        metadata=SimpleNamespace(deletion_timestamp=going),
        status=SimpleNamespace(phase=phase, **status | changes),
    )


def container(**state: Any) -> list[Any]:
    known = {"waiting": None, "terminated": None} | state
    return [SimpleNamespace(state=SimpleNamespace(**known))]


def waits(reason: str) -> list[Any]:
    return container(waiting=SimpleNamespace(reason=reason, message="no such image"))


NO_ROOM = SimpleNamespace(type="PodScheduled", status="False", message="0/1 nodes: memory")


@pytest.mark.parametrize(
    ("found", "waited_s", "why"),
    [
        (pod("Running"), 5000, None),
        (pod("Pending"), 10, None),
        (pod("Pending", container_statuses=waits("ContainerCreating")), 10, None),
        # A pull may fail once.
        (pod("Pending", container_statuses=waits("ErrImagePull")), 10, None),
        (
            pod("Pending", container_statuses=waits("ImagePullBackOff")),
            10,
            "ImagePullBackOff: no such image",
        ),
        (
            pod("Pending", container_statuses=waits("InvalidImageName")),
            10,
            "InvalidImageName: no such image",
        ),
        # A cluster may add a node.
        (pod("Pending", conditions=[NO_ROOM]), 10, None),
        (pod("Pending", conditions=[NO_ROOM]), 61, "no node has room for it: 0/1 nodes: memory"),
        (pod("Pending"), 601, "it did not start within 600 s"),
        (pod("Running", going="now"), 10, "it was removed while"),
        (
            pod("Failed", container_statuses=container(terminated=SimpleNamespace(reason="Error"))),
            10,
            "it ended early (Error)",
        ),
        (pod("Failed", reason="Evicted", message="low on memory"), 10, "it ended early (low on"),
        (pod("Succeeded"), 10, "it ended early (no reason)"),
    ],
)
def test_a_pod_that_does_not_load_is_told_in_words(
    found: Any, waited_s: float, why: str | None
) -> None:
    said = failure_of(found, waited_s)
    assert (said is None) is (why is None)
    assert said is None or said.startswith(why or "")


@pytest.mark.parametrize("ahead_s", [-5000.5, 0, 77.25])
def test_lines_of_two_machines_become_one_history(tmp_path: Path, ahead_s: float) -> None:
    """A monotonic clock outside that is `ahead_s` of the pod's changes nothing in the verdict."""
    for name in ("whole", "apart"):
        (tmp_path / name).mkdir()
    whole = Folder(tmp_path / "whole").good_run()
    for second in range(12):
        whole.event("observe", 101.5 + second, machine=MACHINE, components={}, database=None)
    whole.save()
    pieces = Folder(tmp_path / "apart")
    pieces.read = whole.read
    seen = [line for line in whole.lines if line["type"] in ("observe", "server")]
    pieces.lines = [line for line in whole.lines if line not in seen]
    pieces.save()
    outside = tmp_path / "outside.jsonl"
    moved = [line | {"mono_ns": line["mono_ns"] + int(ahead_s * S)} for line in seen]
    outside.write_text("".join(json.dumps(line) + "\n" for line in moved))
    merge(tmp_path / "apart" / history.HISTORY, outside)
    expected, _ = judge(tmp_path / "whole")
    found, _ = judge(tmp_path / "apart")
    assert found == expected
    assert expected.stages[0].observed


MACHINE = {"cores": 2, "busy_s": 1.0, "io_wait_s": 0.0}


def test_the_machine_of_the_report_is_the_node_of_the_load(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    for second in range(12):
        folder.event("observe", 101.5 + second, machine=MACHINE, components={}, database=None)
        node = {"cores": 64, "busy_s": 8.0 * second, "io_wait_s": 0.0}
        folder.event("machine", 101.6 + second, machine=node)
    seen = judge(folder.save())[0].stages[0].observed
    assert seen
    assert (seen.machine.cores, round(seen.machine.cpu, 3)) == (64, 8.0)


def test_stages_are_found_by_the_unix_clock(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run().save()
    assert load_spans(folder / history.HISTORY) == [("2 users", 102.0, 112.0)]


@pytest.mark.parametrize(
    ("said", "after", "before", "apart_s"),
    [(10, 9, 11, 0), (12, 9, 11, 1), (5, 9, 11, 4), (9, 9, 9, 0)],
)
def test_clocks_that_differ_are_noticed(said: int, after: int, before: int, apart_s: int) -> None:
    assert clock_difference_s(said * S, after * S, before * S) == apart_s
    assert (clock_warning(apart_s) is not None) is (apart_s > 0)
