"""What becomes of a call, against a real HTTP server that answers by a script."""

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from infra.outputs import REPLICA_HEADER
from tests.serving import Handler, serving
from tests.unit.workloads.builders import plan, stage
from workloads import error_summary
from workloads.history import history
from workloads.history.history import History, Operation
from workloads.load.arrivals import arrivals
from workloads.load.call_recorder import CallRecorder
from workloads.load.errand import Errand
from workloads.load.process import WARM, Process
from workloads.plan.plan import Load

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
        self.session = process.new_session()
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
        self.http.request(
            "POST", url, json={"experiment_id": "1"}, timeout=0.1 if None in script else 5
        )

    def all(self) -> list[Operation]:
        return list(history.operations(self.path))

    def last(self) -> Operation:
        return self.all()[-1]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    hold = threading.Event()

    class Scripted(Handler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status = bench.script.pop(0)
            if status is None:
                hold.wait(10)
                self.close_connection = True
                return
            body = CREATED if status == 200 else b"no"
            self.answer(status, body, **{REPLICA_HEADER: "mlflow-a-1"})

    with serving(Scripted) as bench.uri:
        monkeypatch.setattr(requests.Session, "request", requests.Session.request)
        monkeypatch.setattr(ThreadPoolExecutor, "submit", ThreadPoolExecutor.submit)
        CallRecorder(bench.process).install()
        with bench.http:
            yield bench
        hold.set()


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


def test_what_a_user_waits_for_is_that_users_in_whichever_thread(bench: Bench) -> None:
    """A download: the client's own pool makes the call, and the user waits for it."""
    other = bench.process.new_session()  # the one who came last, of a process with several users
    bench.session.begin(waits=True)
    with ThreadPoolExecutor(1) as pool:
        with bench.session.step("download 16 KiB") as _:
            bench.create(200)
            pool.submit(bench.create, 200).result()
        other.begin()  # the pool's thread is there already, and now does another one's work
        pool.submit(bench.create, 200).result()
    calls = [o for o in bench.all() if o.type == "call"]
    [step] = [o for o in bench.all() if o.type == "step"]
    assert [(c.user, c.background, c.step) for c in calls] == [
        (bench.session.user, False, step.id),
        (bench.session.user, False, step.id),
        (other.user, True, None),
    ]


def test_every_call_of_a_planned_turn_counts_from_when_it_was_due(bench: Bench) -> None:
    """The turn begins 300 ms late, and so do its step, its first call and the one after that."""
    planned = time.monotonic_ns() - 300_000_000
    bench.session.plan_turn(planned, queued=True)
    with bench.session.step("register"):
        bench.create(200)
        bench.create(200)
    bench.session.plan_turn(None)
    bench.create(200)
    *turn, after = bench.all()
    step = next(o for o in turn if o.type == "step")
    first, second = (o for o in turn if o.type == "call")
    assert step.planned_ns == planned
    assert after.planned_ns is None
    for one in (step, first, second):
        assert one.planned_ns is not None
        assert one.invoked_ns - one.planned_ns == pytest.approx(300_000_000, abs=20_000_000)
        assert one.queued
    assert first.completed_ns
    assert second.planned_ns
    late_ns = first.invoked_ns - planned
    assert second.planned_ns >= first.completed_ns - late_ns - 1_000_000


def test_an_arrival_is_handed_out_once_and_cancelled_by_an_end(bench: Bench) -> None:
    import gevent

    opened = stage(load=Load.OPEN, rate=20, warm_up_s=0, load_s=60, goes_on=True)
    begin_ns = time.monotonic_ns()
    bench.process.follow(opened, begin_ns, row=1)
    planned = arrivals(opened, begin_ns, bench.process.plan.seed)
    first, second, third = itertools.islice(planned, 3)
    assert bench.process.wait_for_turn(0) == (first, False)
    gevent.sleep((third - time.monotonic_ns()) / 1e9 + 0.01)
    assert bench.process.wait_for_turn(0) == (second, True), "due while nobody was free"
    bench.process.end(third)
    assert bench.process.wait_for_turn(0) == (third, True), "planned before the end"
    with gevent.Timeout(0.3, False):
        pytest.fail(f"planned after the end: {bench.process.wait_for_turn(0)}")


def test_warm_is_told_once(bench: Bench) -> None:
    bench.session.warm()
    bench.session.warm()
    assert bench.sent == [(WARM, 3)]


def test_tokens_follow_from_seed_and_user(tmp_path: Path) -> None:
    def tokens(user: int, seed: int) -> list[str]:
        made = plan(seed=seed, processes=2)
        session = Process(None, History(tmp_path / "h"), made, user).new_session()  # type: ignore[arg-type]
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
    said = error_summary(OSError(f"Max retries exceeded with url: {url} (Caused by …)"))
    assert said == "OSError: Max retries exceeded with url: /bucket/key?… (Caused by …)"


def test_what_an_exporter_sends_again_by_itself_is_one_call(bench: Bench) -> None:
    """OpenTelemetry's exporter tries again above its HTTP library."""
    errand = Errand(bench.session)
    errand.retries = True
    bench.process.attribute_calls_to(errand)
    bench.http = requests.Session()
    bench.create(503)
    assert errand.held
    bench.create(200)
    assert errand.held is None
    [call] = bench.all()
    assert (call.outcome, call.status) == ("ok", 200)
    assert [said.split(":")[0] for said in call.retries] == ["HTTP 503"]
    assert errand.calls == 1
