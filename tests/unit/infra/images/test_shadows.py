"""A file and a folder of one name, against a store that keeps books."""

# mypy: allow-untyped-calls

from typing import Any

import pytest
from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from mlflow.exceptions import MlflowException

from infra.images.mlflow.stores.mlflow_bench_stores import shadows
from infra.images.mlflow.stores.mlflow_bench_stores.shadows import Shadows


class Store:
    """The calls of an S3 client that look for a name, and how many there were."""

    def __init__(self, *keys: str, failing: str = "") -> None:
        self.keys = keys
        self.failing = failing
        self.looked: list[str] = []

    def list_objects_v2(self, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, int]:  # noqa: N803
        assert (Bucket, MaxKeys) == ("bucket", 1)
        return {"KeyCount": int(any(key.startswith(Prefix) for key in self.keys))}

    def head_object(self, Bucket: str, Key: str) -> None:  # noqa: N803
        assert Bucket == "bucket"
        self.looked.append(Key)
        if Key not in self.keys:
            code = self.failing or "404"
            raise ClientError({"Error": {"Code": code, "Message": "none"}}, "HeadObject")


def check(found: Shadows, store: Store, path: str) -> None:
    place: dict[str, Any] = {"Bucket": "bucket", "Key": f"prefix/{path}"}
    found.refuse(store, place, path)


@pytest.mark.parametrize(
    ("there", "new", "says"),
    [
        ("0/r/artifacts/m/x", "0/r/artifacts/m", "'0/r/artifacts/m' is a folder"),
        ("0/r/artifacts/m", "0/r/artifacts/m/x", "'0/r/artifacts/m/x' is below a file"),
        ("0/r/artifacts/m", "0/r/artifacts/m/x/y", "is below a file"),
        ("m", "m/x", "'m/x' is below a file"),
    ],
)
def test_the_second_of_one_name_is_refused(there: str, new: str, says: str) -> None:
    with pytest.raises(MlflowException, match=says) as refused:
        check(Shadows(), Store(f"prefix/{there}"), new)
    assert refused.value.get_http_status_code() == 400


def test_others_are_not_and_a_folder_is_looked_at_once() -> None:
    store = Store("prefix/0/r/artifacts/m", "prefix/0/r/artifacts/mm/x")
    found = Shadows()
    check(found, store, "0/r/artifacts/m")
    check(found, store, "0/r/artifacts/n")
    assert store.looked == [], "MLflow's own folders are none of its users'"
    for name in ("x", "y"):
        check(found, store, f"0/r/artifacts/a/artifacts/mm/n/{name}")
    above = "prefix/0/r/artifacts/a/artifacts"
    assert store.looked == [f"{above}/mm", f"{above}/mm/n"]


def test_a_file_is_not_remembered_as_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadows, "REMEMBERED", 2)
    store, found = Store("prefix/artifacts/m"), Shadows()
    for _ in range(2):
        with pytest.raises(MlflowException):
            check(found, store, "artifacts/m/x")
    for name in "abc":
        check(found, store, f"artifacts/{name}/x")
    assert len(found._folders) <= 2


def test_a_store_that_fails_is_no_empty_one() -> None:
    with pytest.raises(ClientError):
        check(Shadows(), Store(failing="503"), "artifacts/m/x")
