"""What becomes of a call, against a real HTTP server that answers by a script."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from infra.outputs import REPLICA_HEADER
from tests.unit.workloads.builders import plan
from workloads import history
from workloads.client import WARM, Process
from workloads.errors import summary
from workloads.history import History, Operation

CREATED = b'{"run": {"info": {"run_id": "r1"}}}'


class Bench:
    """A session with its history, what Locust was told, and a server with a script."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "history.jsonl"
        self.fired: list[dict[str, Any]] = []
        self.sent: list[tuple[str, int]] = []
        self.script: list[int | None] = []
        writer = History(self.path)
        writer.event("plan", plan=plan().model_dump(mode="json"))
        environment = SimpleNamespace(
            events=SimpleNamespace(request=SimpleNamespace(fire=self.fire)),
            runner=SimpleNamespace(send_message=lambda *message: self.sent.append(message)),
        )
        made = plan(processes=4, tracking_uri="http://127.0.0.1")  # at whichever port
        process = Process(environment, writer, made, 3)  # type: ignore[arg-type]
        self.process = process
        self.session = process.enter()
        self.session.begin()
        self.http = requests.Session()
        retry = Retry(3, status_forcelist=[503], allowed_methods=None, backoff_factor=0)
        self.http.mount("http://", HTTPAdapter(max_retries=retry))
        self.uri = ""

    def fire(self, **event: Any) -> None:
        self.fired.append(event)

    def create(self, *script: int | None) -> None:
        self.script[:] = script
        url = f"{self.uri}/api/2.0/mlflow/runs/create"
        self.http.request("POST", url, json={"experiment_id": "1"}, timeout=0.5)

    def all(self) -> list[Operation]:
        return list(history.operations(self.path))

    def last(self) -> Operation:
        return self.all()[-1]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    hold = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status = bench.script.pop(0)
            if status is None:
                hold.wait(10)
                self.close_connection = True
                return
            body = CREATED if status == 200 else b"no"
            self.send_response(status)
            self.send_header(REPLICA_HEADER, "mlflow-a-1")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        bench.uri = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(requests.Session, "request", requests.Session.request)
        bench.process.watch()
        with bench.http:
            yield bench
        hold.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("script", "outcome", "retries"),
    [
        ([200], "ok", []),
        ([503, 503, 200], "ok", ["503", "503"]),
        ([400], "info", []),  # also said in the middle of a batch
        ([500], "info", []),
        ([404], "fail", []),
        ([413], "fail", []),
        ([503, 404], "info", ["503"]),  # the first try may have been carried out
    ],
)
def test_answers(bench: Bench, script: list[int], outcome: str, retries: list[str]) -> None:
    bench.create(*script)
    last = bench.last()
    assert (last.outcome, last.status, last.retries) == (outcome, script[-1], retries)
    assert last.replica == "mlflow-a-1"
    assert last.created == ("r1" if outcome == "ok" else None)
    assert (last.name, last.user) == ("POST runs/create", 3)
    [event] = bench.fired
    assert (event["request_type"], event["name"]) == ("POST", "runs/create")
    assert bool(event["exception"]) == (outcome != "ok")
    assert last.duration_ms == pytest.approx(event["response_time"])


def test_a_create_that_timed_out_is_info(bench: Bench) -> None:
    with pytest.raises(requests.RequestException):
        bench.create(None, None, None, None)
    assert bench.last().outcome == "info"
    assert "Timeout" in (bench.last().error or "") or "timed out" in (bench.last().error or "")


def test_retries_that_were_used_up_are_info(bench: Bench) -> None:
    with pytest.raises(requests.RequestException):
        bench.create(503, 503, 503, 503)
    assert bench.last().outcome == "info"


def test_a_failed_read_changes_nothing_and_is_fail(bench: Bench) -> None:
    bench.script[:] = [500]
    url = f"{bench.uri}/api/2.0/mlflow/runs/search"
    bench.http.request("POST", url, json={"experiment_ids": ["1"]})
    assert bench.last().outcome == "fail"


def test_a_step_has_its_calls_and_a_token(bench: Bench) -> None:
    tokens = []
    for script in ([200], [None, None, None, None]):
        with bench.session.step("curves") as token:
            tokens.append(token)
            bench.create(*script)
    operations = bench.all()
    steps = [o for o in operations if o.type == "step"]
    assert [(s.name, s.outcome) for s in steps] == [("curves", "ok"), ("curves", "fail")]
    assert [o.step for o in operations if o.type == "call"] == [s.id for s in steps]
    assert len(set(tokens)) == 2


def test_a_step_that_is_killed_is_info(bench: Bench) -> None:
    with pytest.raises(SystemExit), bench.session.step("curves"):
        raise SystemExit
    assert bench.last().outcome == "info"


def test_calls_beside_the_trainer_are_background(bench: Bench) -> None:
    import gevent  # type: ignore[import-untyped]

    with bench.session.step("curves"):
        bench.create(200)
        gevent.spawn(bench.create, 200).join()
    calls = [o for o in bench.all() if o.type == "call"]
    assert [c.background for c in calls] == [False, True]


def test_warm_is_told_once(bench: Bench) -> None:
    bench.session.warm()
    bench.session.warm()
    assert bench.sent == [(WARM, 3)]


def test_tokens_follow_from_seed_and_user(tmp_path: Path) -> None:
    def tokens(user: int, seed: int) -> list[str]:
        made = plan(seed=seed, processes=2)
        session = Process(None, History(tmp_path / "h"), made, user).enter()  # type: ignore[arg-type]
        found = []
        for _ in range(3):
            with session.step("curves") as token:
                found.append(token)
        return found

    assert tokens(0, 1) == tokens(0, 1)
    assert len({*tokens(0, 1), *tokens(1, 1), *tokens(0, 2)}) == 9


def test_a_call_past_the_server_is_named_without_its_url(bench: Bench) -> None:
    bench.script[:] = [200]
    port = bench.uri.rsplit(":", 1)[1]
    bench.http.request("POST", f"http://localhost:{port}/bucket/key?X-Amz-Signature=ab", data=b"x")
    assert bench.last().name == "POST artifact past the server"
    assert bench.last().writes == []
    assert "X-Amz" not in bench.path.read_text()


def test_an_error_has_no_signature() -> None:
    url = "/bucket/key?X-Amz-Credential=me&X-Amz-Signature=0123"
    said = summary(OSError(f"Max retries exceeded with url: {url} (Caused by …)"))
    assert said == "OSError: Max retries exceeded with url: /bucket/key?… (Caused by …)"
