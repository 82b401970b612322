"""What the bundled `kubernetes` plugin makes of objects: names, differences, drift, readiness."""

from typing import Any

import pytest

from scripts.offline.plugins.kubernetes_resources import awaits, immutable, objects
from scripts.offline.plugins.protocol.codec import UNKNOWN, Secret
from scripts.offline.plugins.protocol.errors import RefusedError

URN = "urn:pulumi:test::test::kubernetes:core/v1:ConfigMap::settings"
# Judges of these kinds ask the cluster nothing while all is well.
NOWHERE: Any = None


def paths(old: Any, new: Any) -> list[str]:
    return [path for path, _, _ in objects.changes(old, new)]


def test_a_chosen_name_stays_and_a_given_one_wins() -> None:
    named = objects.with_name({}, {"kind": "ConfigMap"}, URN, b"seed")
    assert named["metadata"]["name"].startswith("settings-")
    assert objects.annotation(named, objects.AUTONAMED)
    again = objects.with_name(named, {"kind": "ConfigMap"}, URN, b"another")
    assert again["metadata"]["name"] == named["metadata"]["name"]
    given = {"metadata": {"name": "mine"}}
    assert objects.with_name(named, given, URN, b"seed") == given


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": 2}, ["a"]),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, ["a.c"]),
        ({"a": {"b": 1}}, {}, ["a"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a"]),
        ({"a": Secret("x")}, {"a": "x"}, []),
        ({"a": Secret({"b": "x"})}, {"a": {"b": "y"}}, ["a.b"]),
        ({"a": "x"}, {"a": UNKNOWN}, ["a"]),
    ],
)
def test_differences(old: Any, new: Any, changed: list[str]) -> None:
    assert paths(old, new) == changed


@pytest.mark.parametrize(
    ("inputs", "live", "found"),
    [
        # What the server adds is not the program's.
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 1}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {}, {}),
        ({"a": ""}, {}, {"a": ""}),
        ({"a": {}, "b": []}, {}, {"a": {}, "b": []}),
        # The same amount in other words.
        ({"cpu": "1000m"}, {"cpu": "1"}, {"cpu": "1000m"}),
        ({"memory": "1024Mi"}, {"memory": "1Gi"}, {"memory": "1024Mi"}),
        ({"memory": "1Gi"}, {"memory": "2Gi"}, {"memory": "2Gi"}),
        # Items are compared one by one, but for a list of another length.
        ({"a": [{"n": 1}]}, {"a": [{"n": 1, "m": 2}]}, {"a": [{"n": 1}]}),
        ({"a": [{"n": 1}]}, {"a": [{"n": 1}, {"n": 2}]}, {"a": [{"n": 1}, {"n": 2}]}),
    ],
)
def test_drift(inputs: Any, live: Any, found: Any) -> None:
    assert objects.as_found(inputs, live) == found


def test_drift_of_a_secret_is_seen_through_its_encoding() -> None:
    inputs = {"kind": "Secret", "stringData": {"key": "value", "gone": "x"}}
    live = {"kind": "Secret", "data": {"key": "dmFsdWU="}}
    assert objects.secret_as_found(inputs, live)["stringData"] == {"key": "value"}


def test_all_that_a_secret_holds_is_secret() -> None:
    guarded = objects.guarded({"kind": "Secret", "data": {"a": "Yg=="}, "type": "Opaque"})
    assert guarded == {"kind": "Secret", "data": Secret({"a": "Yg=="}), "type": "Opaque"}
    assert objects.guarded({"kind": "ConfigMap", "data": {}}) == {"kind": "ConfigMap", "data": {}}


@pytest.mark.parametrize(
    ("kind", "path", "replaces"),
    [
        ("Deployment", "spec.selector.matchLabels.app", True),
        ("Deployment", "spec.template.spec.containers", False),
        ("StatefulSet", "spec.serviceName", True),
        ("StatefulSet", "spec.replicas", False),
        ("Job", "spec.template.spec.containers", True),
        ("Job", "spec.ttlSecondsAfterFinished", False),
        ("Anything", "metadata.name", True),
        ("Anything", "metadata.names", False),
        ("Anything", "kind", True),
    ],
)
def test_replacement(kind: str, path: str, replaces: bool) -> None:
    assert immutable.replaces(kind, path) is replaces


@pytest.mark.parametrize(
    ("message", "immutable_"),
    [
        ('Deployment "a" is invalid: spec.selector: Invalid value: field is immutable', True),
        ("updates to statefulset spec for fields other than 'replicas' are forbidden", True),
        ("spec.clusterIPs[0]: Invalid value: may not change once set", True),
        ('namespaces "a" not found', False),
        ("spec.replicas: Invalid value: -1: must be greater than or equal to 0", False),
    ],
)
def test_refusals(message: str, immutable_: bool) -> None:
    assert immutable.refused_as_immutable(message) is immutable_


def live(kind: str, status: Any, spec: Any = None) -> Any:
    return {"kind": kind, "metadata": {"generation": 2}, "spec": spec or {}, "status": status}


ROLLED = {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
FULL = {
    "observedGeneration": 2,
    "readyReplicas": 2,
    "updatedReplicas": 2,
    "currentRevision": "b",
    "updateRevision": "b",
}


@pytest.mark.parametrize(
    ("group", "kind", "status", "missing"),
    [
        ("apps", "Deployment", ROLLED, None),
        ("apps", "Deployment", ROLLED | {"observedGeneration": 1}, "0 of 2"),
        ("apps", "Deployment", ROLLED | {"updatedReplicas": 1}, "1 of 2"),
        ("apps", "Deployment", ROLLED | {"availableReplicas": 1}, "1 of 2"),
        ("apps", "Deployment", ROLLED | {"replicas": 3}, "2 of 2"),
        ("apps", "Deployment", {}, "0 of 2"),
        ("apps", "StatefulSet", FULL, None),
        ("apps", "StatefulSet", FULL | {"readyReplicas": 1}, "1 of 2"),
        ("apps", "StatefulSet", FULL | {"currentRevision": "a"}, "2 of 2"),
        ("batch", "Job", {"conditions": [{"type": "Complete", "status": "True"}]}, None),
        ("batch", "Job", {"active": 1}, "running"),
        ("", "Namespace", {"phase": "Active"}, None),
        ("", "Namespace", {"phase": "Terminating"}, "Terminating"),
        ("", "PersistentVolumeClaim", {"phase": "Bound"}, None),
        ("", "PersistentVolumeClaim", {"phase": "Pending"}, "no volume yet"),
        ("", "Pod", {"phase": "Succeeded"}, None),
        ("", "Pod", {"phase": "Pending"}, "not ready"),
        ("networking.k8s.io", "Ingress", {"loadBalancer": {}}, "no address"),
        (
            "networking.k8s.io",
            "Ingress",
            {"loadBalancer": {"ingress": [{"hostname": "a"}]}},
            None,
        ),
    ],
)
def test_readiness(group: str, kind: str, status: Any, missing: str | None) -> None:
    said = awaits.JUDGES[group, kind](NOWHERE, live(kind, status, {"replicas": 2}))
    assert said is None if missing is None else missing in str(said)


def test_a_lost_volume_is_an_error() -> None:
    with pytest.raises(RefusedError, match="its volume is gone"):
        awaits.JUDGES["", "PersistentVolumeClaim"](NOWHERE, live("", {"phase": "Lost"}))
