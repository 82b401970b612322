"""What both stores make of a client's path."""

# mypy: allow-untyped-calls

import pytest
from mlflow.exceptions import MlflowException

from infra.images.mlflow.stores.mlflow_bench_stores.paths import (
    KEY_BYTES,
    NAME_BYTES,
    clean,
    clean_file,
    too_long,
)


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("", ""),
        ("dir", "dir"),
        ("dir/", "dir"),
        ("./dir/./sub//", "dir/sub"),
        ("a..b/..c/d..", "a..b/..c/d.."),
        ("a\\b", "a\\b"),
        (" a /\tb", " a /\tb"),
    ],
)
def test_a_path_is_as_it_is_listed(path: str, cleaned: str) -> None:
    assert clean(path) == cleaned


@pytest.mark.parametrize("path", ["..", "a/..", "../a", "a/../b", "..\\a", "a/b\\..", "a\\..\\b"])
def test_a_step_upwards_is_refused(path: str) -> None:
    with pytest.raises(MlflowException, match="step upwards") as refused:
        clean(path)
    assert refused.value.get_http_status_code() == 400


def test_a_file_has_a_name() -> None:
    assert clean_file("a/./b") == "a/b"
    for path in ("", "a/", ".", "a/.", "a//"):
        with pytest.raises(MlflowException, match="names a folder"):
            clean_file(path)


def test_lengths_are_those_of_bytes() -> None:
    name = "é" * (NAME_BYTES // 2)
    assert too_long(f"a/{name}x/b", KEY_BYTES) is None
    long = too_long(f"a/{name}xy/b", KEY_BYTES)
    assert long is not None
    assert "has 256 bytes, and the artifact store takes 255" in long.message
    assert name not in long.message
    path = "/".join(["d" * 100] * 11)
    assert too_long(path, len(path)) is None
    assert "has 1110 bytes, and the artifact store takes 1024" in str(too_long(path, KEY_BYTES))
