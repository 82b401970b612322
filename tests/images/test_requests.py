"""Requests from bug reports, on each kind of artifact store and through nginx.

docs/requests.md tells what was seen. Where MLflow's own answer is another one, `plain` has it.
"""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.images.requests_lab import JSON, ROUTE, Answer, Lab, Place
from tests.images.sandbox import Sandbox, logs

pytestmark = pytest.mark.plugins

Send = Callable[[Place], Answer]

TRACES = {"locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "x"}}]}

EXPERIMENT = "/api/2.0/mlflow/experiments/get?experiment_id=0"

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
    for asked in ("bytes=0-", "bytes=-5"):
        empty = place.get("range/empty", Range=asked)
        assert (empty.status, empty.headers["content-range"]) == (416, "bytes */0"), asked


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
    for asked in ("bytes=0-1", "bytes=100-"):
        assert place.get("version/file", Range=asked, If_Range=tag).body == b"again"


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


def test_a_name_that_is_too_long_for_s3(lab: Lab) -> None:
    """Of a name of its own only MinIO complains, up to that length."""
    refused = lab.places["s3"].put("long/" + "n" * 1100)
    assert refused.status == 400
    assert "it has 1105 bytes, and the artifact store takes 1024" in refused.message


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


def test_what_cannot_be_read_does_not_change_a_name(place: Place, plain: Place) -> None:
    """Both names would be one and the same, of which the second is kept."""
    for name in ("bytes/%ff", "bytes/%fe"):
        refused = place.put(name)
        assert (refused.status, "not UTF-8" in refused.message) == (400, True)
        assert plain.put(name).status == 200
    assert place.put("bytes/%EF%BF%BD").status == 200


def test_an_upload_that_is_refused_is_answered_at_its_end(place: Place) -> None:
    """A connection that is closed before hides the answer, and nginx says 502."""
    content = bytes(20 * 2**20)
    assert place.put("refused/m/x").status == 200
    for name in ("refused/..%5cx", "refused/" + "n" * 300, "refused/m"):
        assert place.put(name, content).status == 400
    elsewhere = {"Origin": "http://elsewhere.example.com"}
    assert place.send("PUT", f"{ROUTE}/refused/y", content, elsewhere).status == 403
    assert place.list("refused").listed == [("m", True)]


@pytest.mark.parametrize("kind", ["s3", "nginx"])
def test_no_path_is_an_address(lab: Lab, kind: str) -> None:
    for path in ("//etc/passwd", "///etc/passwd", "//elsewhere.example.com/x"):
        with ThreadPoolExecutor(16) as threads:
            asked = threads.map(lambda _, path=path: lab.places[kind].send("GET", path), range(64))
            assert {answer.status for answer in asked} == {404}


@pytest.mark.parametrize("kind", ["s3", "nginx"])
def test_names_of_this_machine(lab: Lab, kind: str) -> None:
    place = lab.places[kind]
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    for host in ("localhost:5000", "LOCALHOST:5000", "[::1]:5000", "127.0.0.1"):
        assert place.send("GET", path, headers={"Host": host}).status == 200, host
    assert place.send("GET", path, headers={"Host": "elsewhere"}).status == 403


MISTAKES: list[tuple[str, Send]] = [
    ("a number as the body", lambda to: to.call("2.0/mlflow/runs/create", b"1")),
    ("text as the body", lambda to: to.call("2.0/mlflow/runs/create", b'"x"')),
    ("a deep body", lambda to: to.call("2.0/mlflow/runs/create", b"[" * 100_000)),
    (
        "a list for a number",
        lambda to: to.call(
            "2.0/mlflow/runs/log-metric",
            {"run_id": "x", "key": "m", "value": [], "timestamp": 1},
        ),
    ),
    (
        "null for a number",
        lambda to: to.call("2.0/mlflow/runs/search", {"max_results": None}),
    ),
    (
        "a fraction for a number",
        lambda to: to.send("GET", "/api/2.0/mlflow/model-versions/search?max_results=1e9"),
    ),
    (
        "a token of runs",
        lambda to: to.call(
            "2.0/mlflow/runs/search", {"experiment_ids": ["0"], "page_token": "W10="}
        ),
    ),
    (
        "a token of models",
        lambda to: to.send(
            "GET", "/api/2.0/mlflow/registered-models/search?page_token=bnVsbA%3D%3D"
        ),
    ),
    (
        "a token of logged models",
        lambda to: to.call(
            "2.0/mlflow/logged-models/search", {"experiment_ids": ["0"], "page_token": "garbage"}
        ),
    ),
    (
        "a filter of logged models",
        lambda to: to.call(
            "2.0/mlflow/logged-models/search",
            {"experiment_ids": ["0"], "filter": "metrics.m = 'x'"},
        ),
    ),
    (
        "an attribute of logged models",
        lambda to: to.call(
            "2.0/mlflow/logged-models/search",
            {"experiment_ids": ["0"], "filter": "attributes.run_id = 1"},
        ),
    ),
    ("traces of no experiment", lambda to: to.call("3.0/mlflow/traces/search", TRACES)),
    ("half a query", lambda to: to.send("POST", "/graphql", b'{"query": "{"}', JSON)),
    ("no query", lambda to: to.send("POST", "/graphql", b"[]", JSON)),
    (
        "a signature of a model",
        lambda to: to.call(
            "2.0/mlflow/runs/log-model",
            {
                "run_id": "x",
                "model_json": '{"run_id": "x", "artifact_path": "m", "flavors": {},'
                ' "utc_time_created": "2026-11-28", "signature": {"inputs": "x"}}',
            },
        ),
    ),
    (
        "a host that is no text",
        lambda to: to.send("GET", "/api/2.0/mlflow/x", headers={"Host": b"\xff"}),
    ),
    (
        "an origin that is no text",
        lambda to: to.send("POST", "/api/2.0/mlflow/x", b"{}", {"Origin": b"\xff"}),
    ),
    (
        "a name that is too long for a file",
        lambda to: to.send(
            "POST",
            f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={to.new_run()}&path={'n' * 300}",
            b"content",
        ),
    ),
    ("a name with NUL", lambda to: to.call("2.0/mlflow/experiments/create", {"name": "a\0b"})),
]


@pytest.mark.parametrize("send", [one[1] for one in MISTAKES], ids=[one[0] for one in MISTAKES])
def test_a_request_that_cannot_be_read_is_400(lab: Lab, plain: Place, send: Send) -> None:
    refused = send(lab.places["volume"])
    assert refused.status == 400
    assert "The request cannot be read: " in refused.message or "NUL character" in refused.message
    assert send(plain).status == 500


def test_a_request_that_lacks_what_it_needs(lab: Lab, plain: Place) -> None:
    for path in ("/get-artifact", "/get-artifact?run_uuid=x"):
        assert lab.places["volume"].send("GET", path).status == 400, path
        assert plain.send("GET", path).status == 400, path


def test_the_browser_s_way_to_an_artifact(place: Place) -> None:
    run = place.new_run()
    folder = f"0/{run}/artifacts"
    assert place.put(f"{folder}/d/file").status == 200

    def get(path: str) -> int:
        return place.send("GET", f"/get-artifact?run_uuid={run}&path={path}").status

    def post(path: str) -> int:
        route = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={path}"
        return place.send("POST", route, b"content").status

    assert (get("d/file"), get("d/none"), get("d/..%5cx")) == (200, 404, 400)
    assert get("n" * 300) == 400
    assert (post("e/file"), post("d"), post("d/file/x"), post("..%5cx")) == (200, 400, 400, 400)
    assert place.list(folder).listed == [("d", True), ("e", True)]


def test_nothing_stays_of_an_upload_whose_client_is_gone(place: Place) -> None:
    before = place.container.logs().count(b"Traceback")
    for head, body in (
        ("Content-Length: 1000", b"x" * 300),
        ("Transfer-Encoding: chunked", b"12c\r\n" + b"x" * 300),
    ):
        with socket.create_connection(("127.0.0.1", place.port), timeout=60) as connection:
            start = f"PUT {ROUTE}/gone/file HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n"
            connection.sendall(start.encode() + body)
    assert place.put("gone/after").status == 200
    assert place.list("gone").listed == [("after", False)]
    assert place.container.logs().count(b"Traceback") == before


def test_a_deleted_experiment_has_no_other_name(lab: Lab, plain: Place) -> None:
    for to, status in ((lab.places["volume"], 400), (plain, 500)):
        made = to.call("2.0/mlflow/experiments/create", {"name": f"renamed {status}"})
        assert made.status == 200
        which = {"experiment_id": made.json["experiment_id"]}
        assert to.call("2.0/mlflow/experiments/delete", which).status == 200
        renamed = to.call("2.0/mlflow/experiments/update", {**which, "new_name": "another"})
        assert renamed.status == status
        assert renamed.message == "Cannot rename a non-active experiment."


def test_what_many_write_at_once(lab: Lab) -> None:
    """On PostgreSQL, MLflow refuses those that meet another's with 400."""
    to = lab.places["volume"]
    run = to.new_run()
    model = {"name": "written at once"}
    assert to.call("2.0/mlflow/registered-models/create", model).status == 200
    version = {**model, "source": f"mlflow-artifacts:/0/{run}/artifacts/m", "run_id": run}
    assert to.call("2.0/mlflow/model-versions/create", version).status == 200
    dataset = {"name": "d", "digest": run[:8], "source_type": "local", "source": "s"}
    writes: list[Callable[[str], tuple[str, dict[str, Any]]]] = [
        lambda value: ("runs/set-tag", {"run_id": run, "key": "mood", "value": value}),
        lambda value: (
            "experiments/set-experiment-tag",
            {"experiment_id": "0", "key": run, "value": value},
        ),
        lambda value: ("registered-models/set-tag", {**model, "key": "mood", "value": value}),
        lambda value: (
            "model-versions/set-tag",
            {**model, "version": "1", "key": "mood", "value": value},
        ),
        lambda _: ("registered-models/alias", {**model, "alias": "best", "version": "1"}),
        lambda _: ("runs/log-inputs", {"run_id": run, "datasets": [{"dataset": dataset}]}),
        lambda _: ("runs/log-batch", {"run_id": run, "params": [{"key": "p", "value": "1"}]}),
    ]

    with ThreadPoolExecutor(60) as threads:
        for write in writes:

            def send(number: int, write: Any = write) -> tuple[str, int]:
                path, content = write(str(number))
                return path, to.call(f"2.0/mlflow/{path}", content).status

            answers = set(threads.map(send, range(60)))
            assert {status for _, status in answers} == {200}, answers


def test_a_store_that_is_gone_costs_no_request_but_those_for_artifacts(lab: Lab) -> None:
    place = lab.places["nginx"]
    assert place.put("gone/file", CONTENT).status == 200
    before = len(logs(place.container))
    lab.store.container.kill()
    try:
        with ThreadPoolExecutor(8) as threads:
            got = [threads.submit(place.get, "gone/file") for _ in range(8)]
            stored = [threads.submit(place.put, f"gone/{n}", CONTENT) for n in range(8)]
            metadata = []
            while not all(one.done() for one in (*got, *stored)):
                metadata.append(
                    place.send("GET", "/api/2.0/mlflow/experiments/get?experiment_id=0")
                )
            answers = [one.result() for one in (*got, *stored)]
    finally:
        lab.store.container.start()
        lab.store.wait()
    assert {one.status for one in answers} == {503}
    assert all(one.json["error_code"] == "TEMPORARILY_UNAVAILABLE" for one in answers)
    assert "The artifact store does not answer (" in answers[0].message
    assert {one.status for one in metadata} == {200}
    # A connection that a replica closes unasked counts as its failure: two, and it is left out.
    assert "while reading response header" not in logs(place.container)[before:]
    assert place.get("gone/file").body == CONTENT
