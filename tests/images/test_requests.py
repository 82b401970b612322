"""Requests from bug reports, on each kind of artifact store and through nginx.

docs/requests.md tells what was seen. Where MLflow's own answer is another one, `plain` has it.
"""

import pytest

from tests.images.requests_lab import ROUTE, Lab, Place
from tests.images.sandbox import Sandbox

pytestmark = pytest.mark.plugins

CONTENT = bytes(range(200))


@pytest.fixture(scope="module")
def lab(sandbox: Sandbox, mlflow_image: str, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(sandbox, mlflow_image, tmp_path_factory.mktemp("requests"))


@pytest.fixture(params=["s3", "volume", "nfs", "nginx"])
def place(request: pytest.FixtureRequest, lab: Lab) -> Place:
    """A server of ours; nginx is before that on S3."""
    return lab.places[request.param]


@pytest.fixture
def plain(lab: Lab) -> Place:
    return lab.places["plain"]


def test_a_part_of_an_artifact(place: Place) -> None:
    assert place.put("range/file", CONTENT).status == 200
    whole = place.get("range/file")
    assert (whole.status, whole.body) == (200, CONTENT)
    assert whole.headers["accept-ranges"] == "bytes"
    for asked, part in (
        ("bytes=0-99", range(100)),
        ("bytes=100-", range(100, 200)),
        ("bytes=-5", range(195, 200)),
        (f"bytes=199-{10**20}", range(199, 200)),
    ):
        found = place.get("range/file", Range=asked)
        assert (found.status, found.body) == (206, bytes(part)), asked
        assert found.headers["content-range"] == f"bytes {part[0]}-{part[-1]}/200"
        assert found.headers["content-length"] == str(len(part))
        assert found.headers["etag"] == whole.headers["etag"]
    for asked in ("bytes=200-", f"bytes={10**20}-", "bytes=-0"):
        beyond = place.get("range/file", Range=asked)
        assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */200"), asked
        assert beyond.message == "The artifact has 200 bytes."
    for asked in ("bytes=0-1,5-6", "lines=1-2"):
        assert place.get("range/file", Range=asked).body == CONTENT
    assert place.get("range/file", Range="bytes=2-1").status == 400
    assert place.put("range/empty", b"").status == 200
    assert place.get("range/empty").body == b""
    assert place.get("range/empty", Range="bytes=0-").headers["content-range"] == "bytes */0"


def test_versions_of_an_artifact(place: Place) -> None:
    assert place.put("version/file", b"first").status == 200
    first = place.get("version/file").headers
    tag, date = first["etag"], first["last-modified"]
    for name, value in (
        ("If_None_Match", tag),
        ("If_None_Match", f'"x", W/{tag}'),
        ("If_Modified_Since", date),
    ):
        unchanged = place.get("version/file", **{name: value})
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert unchanged.headers["etag"] == tag
    for version in (tag, date):
        assert place.get("version/file", Range="bytes=0-1", If_Range=version).body == b"fi"
    assert place.put("version/file", b"again").status == 200
    assert place.get("version/file").headers["etag"] != tag
    assert place.get("version/file", If_None_Match=tag).body == b"again"
    assert place.get("version/file", Range="bytes=0-1", If_Range=tag).body == b"again"


def test_the_head_of_an_artifact(place: Place) -> None:
    assert place.put("head/file", CONTENT).status == 200
    head = place.send("HEAD", f"{ROUTE}/head/file")
    whole = place.get("head/file")
    assert (head.status, head.body) == (200, b"")
    same = ("content-length", "content-type", "etag", "last-modified", "accept-ranges")
    assert [head.headers[name] for name in same] == [whole.headers[name] for name in same]
    assert place.send("HEAD", f"{ROUTE}/head/none").status == 404


def test_a_step_upwards_beside_a_backslash(place: Place, plain: Place) -> None:
    for name in ("up/..%5cfile", "up/x%5c..%5cfile"):
        assert place.put(name).status == 400
        assert "has a step upwards" in place.get(name).message
    assert place.put("up/a%5cb", b"kept").status == 200
    assert place.get("up/a%5cb").body == b"kept"
    assert plain.put("up/..%5cfile").status == 200, "it is a name like others on Linux"


def test_one_folder_has_one_listing(place: Place) -> None:
    assert place.put("listed/dir/file").status == 200
    clean = place.list("listed/dir")
    assert clean.listed == [("file", False)]
    for folder in ("listed/dir/", "./listed//dir", "listed/dir/./", "listed/./dir//"):
        assert place.list(folder).listed == clean.listed, folder
        assert place.get(f"{folder}/file").status == 200
    for folder in ("//listed/dir", "/listed/dir/./", "listed/../listed"):
        assert place.list(folder).status == 400


def test_a_name_that_is_too_long_for_the_store(place: Place, plain: Place) -> None:
    name = "long/" + "%C3%A9" * 127
    assert place.put(name + "x").status == 200
    assert place.get(name + "x").status == 200
    for method in ("PUT", "GET"):
        body = b"content" if method == "PUT" else None
        refused = place.send(method, f"{ROUTE}/{name}xy", body)
        assert refused.status == 400
        assert "has 256 bytes, and the artifact store takes 255" in refused.message
    assert plain.put(f"{name}xy").status == 500


def test_a_path_that_is_too_long_for_the_store(place: Place, plain: Place) -> None:
    path = "/".join(["d" * 100] * 45)
    refused = place.put(path)
    assert refused.status == 400
    assert "it has 4544 bytes, and the artifact store takes " in refused.message
    assert plain.put(path).status == 500


def test_a_file_and_a_folder_of_one_name(place: Place, plain: Place) -> None:
    for first, second, says in (
        ("same/m/x", "same/m", "'same/m' is a folder"),
        ("same/n", "same/n/x", "'same/n/x' is below a file"),
        ("same/o/p/x", "same/o/p/x/y/z", "'same/o/p/x/y/z' is below a file"),
    ):
        assert place.put(first, b"first").status == 200
        refused = place.put(second, b"second")
        assert refused.status == 400
        assert says in refused.message
        assert place.get(first).body == b"first"
    assert place.list("same").listed == [("m", True), ("n", False), ("o", True)]
    # An end of the folder is an end of the trouble.
    assert place.send("DELETE", f"{ROUTE}/same/m/x", b"{}").status == 200
    assert plain.put("same/m/x").status == 200
    assert plain.put("same/m").status == 500
