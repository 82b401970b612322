"""Hand-written histories of writes and reads: what is stale, what is impossible, and what neither.

Answers are those of mlflow 3.17, packed as the client packs them.
"""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.unit.workloads.builders import Folder, plan
from workloads.checkers import freshness
from workloads.history import effects, sightings, wire
from workloads.history.history import Kind
from workloads.history.tables import opened
from workloads.verdict.result import Freshness

RUN = "a" * 32
MADE = {
    "experiment_id": "1",
    "run_name": "first",
    "start_time": 1000,
    "user_id": "me",
    "tags": [{"key": wire.TOKEN_TAG, "value": "t1"}],
}


class Script(Folder):
    """A history in the client's own words; every call takes 20 ms unless told otherwise."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.event("plan", 99, plan=plan().model_dump(mode="json"))

    def post(self, at_s: float, path: str, body: dict[str, Any], **ended: Any) -> None:
        self.send(at_s, "POST", path, body, **ended)

    def send(self, at_s: float, method: str, path: str, body: dict[str, Any], **ended: Any) -> None:
        asked = effects.asked(method, path, body, None)
        writes: list[list[str | None]] = [[w.kind, w.owner, w.key, w.value] for w in asked.writes]
        name = wire.name(method, path)
        self.call(at_s, name=name, writes=writes, replica="mlflow-a-1", **ended)

    def create(self, at_s: float, run: str = RUN, start: int = 1000, ms: float = 20) -> None:
        self.post(at_s, "runs/create", MADE | {"start_time": start}, created=run, ms=ms)

    def tag(self, at_s: float, value: str, **ended: Any) -> None:
        self.post(at_s, "runs/set-tag", {"run_id": RUN, "key": "stage", "value": value}, **ended)

    def log(self, at_s: float, *points: tuple[int, float], **ended: Any) -> None:
        metrics = [
            {"key": "loss", "step": step, "timestamp": 1, "value": value} for step, value in points
        ]
        self.post(at_s, "runs/log-batch", {"run_id": RUN, "metrics": metrics}, **ended)

    def get(
        self,
        at_s: float,
        name: str,
        asked: dict[str, Any],
        answer: dict[str, Any],
        status: int = 200,
        **ended: Any,
    ) -> None:
        saw = sightings.seen(name, asked, status, json.dumps(answer).encode(), "1")
        assert saw
        self.call(at_s, name=name, saw=saw, replica="mlflow-b-1", **ended)

    def get_run(self, at_s: float, run: dict[str, Any], **ended: Any) -> None:
        self.get(at_s, "GET runs/get", {"run_id": RUN}, {"run": run}, **ended)

    def judged(self) -> Freshness:
        with opened(self.save() / "history.jsonl") as tables:
            return freshness.judge(tables)


def run(
    stage: str | None = None, loss: tuple[int, float] | None = None, **info: Any
) -> dict[str, Any]:
    """A run as the server shows it."""
    tags = [
        {"key": wire.TOKEN_TAG, "value": "t1"},
        {"key": "mlflow.runName", "value": info.get("run_name", "first")},
    ]
    if stage:
        tags.append({"key": "stage", "value": stage})
    metrics = [{"key": "loss", "step": loss[0], "timestamp": 1, "value": loss[1]}] if loss else []
    about = {
        "run_id": RUN,
        "run_name": "first",
        "experiment_id": "1",
        "status": "RUNNING",
        "start_time": 1000,
        "user_id": "me",
        "lifecycle_stage": "active",
    }
    return {"info": about | info, "data": {"tags": tags, "metrics": metrics}}


@pytest.fixture
def script(tmp_path: Path) -> Script:
    script = Script(tmp_path)
    script.create(100)
    return script


def test_a_fresh_read(script: Script) -> None:
    script.tag(101, "a")
    script.log(102, (0, 0.5), (1, 0.25))
    script.get_run(103, run("a", (1, 0.25)))
    assert script.judged() == Freshness(
        reads=1, stale=0, unexpected=0, max_staleness_s=None, findings=[]
    )


def test_a_stale_read_is_told_with_its_age_and_its_replica(script: Script) -> None:
    script.tag(101, "a")
    script.tag(102, "b")
    script.get_run(103, run("a"))
    result = script.judged()
    assert (result.reads, result.stale, result.unexpected) == (1, 1, 0)
    assert result.max_staleness_s == pytest.approx(0.98)
    [said] = result.findings
    assert said.startswith(f"stale: tag stage of {RUN}, read 1970-01-01 00:01:43.000 UTC")
    assert "through mlflow-b-1 by user 0 with GET runs/get (0.4): a; b was acknowledged" in said
    assert said.endswith(
        "0.980 s before it began through mlflow-a-1 by user 0 with POST runs/set-tag (0.3)"
    )


@pytest.mark.parametrize(
    ("second", "read_at", "shown", "stale"),
    [
        ({}, 102.01, "a", 0),  # both at once
        ({}, 102.01, "b", 0),
        ({}, 101.99, "b", 0),  # the read ended after the write began
        ({"ms": 900}, 102.5, "a", 0),  # the write was under way
        ({"outcome": "info"}, 103, "a", 0),  # nobody knows
        ({"outcome": "info"}, 103, "b", 0),
        ({"outcome": None}, 103, "b", 0),  # never answered
        ({"outcome": "fail"}, 103, "a", 0),  # refused
        ({}, 103, "a", 1),
        ({}, 103, None, 1),  # nothing at all
    ],
)
def test_what_a_tag_may_be(
    script: Script, second: dict[str, Any], read_at: float, shown: str | None, stale: int
) -> None:
    script.tag(101, "a")
    script.tag(102, "b", **second)
    script.get_run(read_at, run(shown))
    result = script.judged()
    assert (result.stale, result.unexpected) == (stale, 0), result.findings


def test_a_write_that_was_sent_again_may_come_twice(script: Script) -> None:
    script.tag(101, "a", retries=["503"])
    script.tag(102, "b")
    script.get_run(103, run("a"))
    assert script.judged().stale == 0


@pytest.mark.parametrize(
    ("shown", "stale", "impossible"),
    [
        (run("a", (0, 0.5)), 0, 1),  # sent only later
        (run(None, (0, 0.5)), 0, 0),
        (run("never sent", (0, 0.5)), 0, 1),
    ],
)
def test_what_nobody_had_sent_is_impossible(
    script: Script, shown: dict[str, Any], stale: int, impossible: int
) -> None:
    script.log(101, (0, 0.5))
    script.get_run(102, shown)
    script.tag(103, "a")
    result = script.judged()
    assert (result.stale, result.unexpected) == (stale, impossible), result.findings


@pytest.mark.parametrize(
    ("shown", "stale"),
    [((2, 0.1), 0), ((1, 0.9), 1), ((0, 0.5), 1), (None, 1), ((3, 0.7), 0)],
)
def test_the_value_of_a_metric_is_that_of_the_highest_step(
    script: Script, shown: tuple[int, float] | None, stale: int
) -> None:
    script.log(101, (0, 0.5), (2, 0.1))
    script.log(102, (1, 0.9))
    script.log(103, (3, 0.7), outcome="info")
    script.get_run(104, run(None, shown))
    result = script.judged()
    assert (result.stale, result.unexpected) == (stale, 0), result.findings


@pytest.mark.parametrize(
    ("points", "stale", "impossible"),
    [
        ([(0, 0.5), (1, 0.25)], 0, 0),
        ([(0, 0.5), (1, 0.25), (2, 0.1)], 0, 0),  # the last is under way
        ([(0, 0.5)], 1, 0),
        ([(0, 0.5), (1, 0.25), (9, 9.0)], 0, 1),
    ],
)
def test_a_curve_has_every_point(
    script: Script, points: list[tuple[int, float]], stale: int, impossible: int
) -> None:
    script.log(101, (0, 0.5))
    script.log(102, (1, 0.25))
    script.log(103, (2, 0.1), ms=900)
    found = [{"key": "loss", "step": s, "timestamp": 1, "value": v} for s, v in points]
    asked = {"run_id": RUN, "metric_key": "loss", "max_results": 25000}
    script.get(103.5, "GET metrics/get-history", asked, {"metrics": found})
    result = script.judged()
    assert (result.stale, result.unexpected) == (stale, impossible), result.findings


@pytest.mark.parametrize(
    ("asked", "more"),
    [({"page_token": "x"}, {}), ({}, {"next_page_token": "x"}), ({"max_results": 1}, {})],
)
def test_a_page_of_a_curve_is_not_compared(asked: dict[str, Any], more: dict[str, Any]) -> None:
    body = {"metrics": [{"key": "loss", "step": 0, "timestamp": 1, "value": 1.0}]} | more
    by = {"run_id": RUN, "metric_key": "loss"} | asked
    assert sightings.seen("GET metrics/get-history", by, 200, json.dumps(body).encode(), "1") == []


@pytest.mark.parametrize(
    ("info", "stale"),
    [
        ({"status": "FINISHED", "end_time": 9, "run_name": "b"}, 0),
        ({"status": "RUNNING", "end_time": 9, "run_name": "b"}, 1),
        ({"status": "FINISHED", "run_name": "b"}, 1),
        ({"status": "FINISHED", "end_time": 9}, 1),
    ],
)
def test_status_end_and_name(script: Script, info: dict[str, Any], stale: int) -> None:
    body = {"run_id": RUN, "status": "FINISHED", "end_time": 9, "run_name": "b"}
    script.post(101, "runs/update", body)
    script.get_run(102, run(**info))
    assert script.judged().stale == stale


@pytest.mark.parametrize(("stage", "stale"), [("deleted", 0), ("active", 1)])
def test_a_deleted_run_is_shown_as_one(script: Script, stage: str, stale: int) -> None:
    script.post(101, "runs/delete", {"run_id": RUN})
    script.get_run(102, run(lifecycle_stage=stage))
    assert script.judged().stale == stale


def test_a_run_that_is_there_is_found(script: Script) -> None:
    none = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run not found"}
    asked = {"run_id": RUN}
    script.get(101, "GET runs/get", asked, none, status=404, outcome="fail")
    result = script.judged()
    assert result.stale == 1
    assert "that it is not there" in result.findings[0]


def test_what_others_made_is_not_judged(script: Script) -> None:
    other = run()
    other["info"]["run_id"] = "b" * 32
    script.get_run(101, other)
    assert script.judged().reads == 0


class TestLists:
    """A search without a filter shows the newest runs."""

    def search(self, script: Script, at_s: float, *ids: str, most: int = 2, **asked: Any) -> None:
        found = [
            run() | {"info": run()["info"] | {"run_id": i, "start_time": s}}
            for i, s in ((one, {"a": 1000, "b": 2000, "c": 3000}[one[0]]) for one in ids)
        ]
        by = {"experiment_ids": ["1"], "max_results": most, **asked}
        script.get(at_s, "POST runs/search", by, {"runs": found})

    @pytest.mark.parametrize(
        ("ids", "most", "asked", "stale"),
        [
            (("c", "b"), 2, {}, 0),
            (("b", "a"), 2, {}, 1),  # the newest is absent
            (("c", "a"), 2, {}, 1),
            (("c", "b"), 5, {}, 1),  # room for all three
            (("c", "b", "a"), 5, {}, 0),
            (("b", "a"), 2, {"filter": "tags.team = 'a'"}, 0),
            (("b", "a"), 2, {"page_token": "x"}, 0),
            (("b", "a"), 2, {"order_by": ["metrics.loss"]}, 0),
            (("b", "a"), 2, {"run_view_type": "DELETED_ONLY"}, 0),
        ],
    )
    def test_the_newest(
        self, script: Script, ids: tuple[str, ...], most: int, asked: dict[str, Any], stale: int
    ) -> None:
        for at, one in ((100.1, "b"), (100.2, "c")):
            start = {"b": 2000, "c": 3000}[one]
            script.create(at, one * 32, start)
        self.search(script, 101, *(one * 32 for one in ids), most=most, **asked)
        result = script.judged()
        assert result.stale == stale, result.findings
        assert result.unexpected == 0

    def test_one_that_is_being_made_or_was_deleted_may_be_absent(self, script: Script) -> None:
        script.create(101, "b" * 32, 2000, ms=5000)
        script.create(101, "c" * 32, 3000)
        script.post(102, "runs/delete", {"run_id": "c" * 32})
        self.search(script, 103, RUN, most=5)
        assert script.judged().findings == []


class TestRegistry:
    """Versions, aliases and descriptions."""

    @pytest.fixture
    def script(self, tmp_path: Path) -> Script:
        script = Script(tmp_path)
        script.post(100, "registered-models/create", {"name": "churn"})
        for at, number in ((101, 1), (102, 2)):
            body = {"name": "churn", "source": "s"}
            script.post(at, "model-versions/create", body, created=f"churn/{number}")
            alias = {"name": "churn", "alias": "champion", "version": str(number)}
            script.post(at + 0.5, "registered-models/alias", alias)
        return script

    def alias(self, script: Script, at_s: float, number: int, **version: Any) -> None:
        found = {"name": "churn", "version": str(number), "source": "s"} | version
        asked = {"name": "churn", "alias": "champion"}
        script.get(at_s, "GET registered-models/alias", asked, {"model_version": found})

    @pytest.mark.parametrize(("number", "stale"), [(2, 0), (1, 1)])
    def test_an_alias(self, script: Script, number: int, stale: int) -> None:
        self.alias(script, 103, number)
        result = script.judged()
        assert result.stale == stale
        assert all("model alias champion of churn" in said for said in result.findings)

    def test_an_alias_that_is_not_found(self, script: Script) -> None:
        none = {
            "error_code": "INVALID_PARAMETER_VALUE",
            "message": "Registered model alias champion not found.",
        }
        asked = {"name": "churn", "alias": "champion"}
        script.get(103, "GET registered-models/alias", asked, none, status=400, outcome="fail")
        assert script.judged().stale == 1

    @pytest.mark.parametrize(("shown", "stale"), [("new", 0), ("old", 1), ("", 1)])
    def test_a_description(self, script: Script, shown: str, stale: int) -> None:
        for at, said in ((103, "old"), (104, "new")):
            body = {"name": "churn", "version": "2", "description": said}
            script.send(at, "PATCH", "model-versions/update", body)
        version = {"name": "churn", "version": "2", "source": "s", "description": shown}
        asked = {"name": "churn", "version": "2"}
        script.get(105, "GET model-versions/get", asked, {"model_version": version})
        result = script.judged()
        assert (result.stale, result.unexpected) == (stale, 0), result.findings

    @pytest.mark.parametrize(
        ("outcome", "at_s", "stale"), [("ok", 104, 1), ("info", 104, 0), ("ok", 103.01, 0)]
    )
    def test_a_deleted_version_that_is_still_shown(
        self, script: Script, outcome: str, at_s: float, stale: int
    ) -> None:
        body = {"name": "churn", "version": "2"}
        script.send(103, "DELETE", "model-versions/delete", body, outcome=outcome)
        version = {"name": "churn", "version": "2", "source": "s"}
        script.get(at_s, "GET model-versions/get", body, {"model_version": version})
        assert script.judged().stale == stale

    def test_a_deleted_alias_goes_with_its_model(self, script: Script) -> None:
        script.send(103, "DELETE", "registered-models/delete", {"name": "churn"})
        self.alias(script, 104, 2)
        assert script.judged().stale == 1


def test_each_read_is_compared_with_all_writes_of_its_owner(script: Script) -> None:
    script.tag(101, "a")
    script.tag(102, "b")
    for number in range(20):
        script.get_run(103 + number, run("b" if number % 2 else "a"))
    result = script.judged()
    assert (result.reads, result.stale) == (20, 10)


def test_an_answer_that_is_none_of_mlflows_shows_nothing() -> None:
    for answer in (b"<html>", b"[]", b"{}", b'{"run": {"info": {}}}'):
        assert sightings.seen("GET runs/get", {"run_id": RUN}, 200, answer, "1") == []


def test_a_digest_tells_kinds_keys_and_values_apart() -> None:
    each = [
        sightings.digest(kind, key, value)
        for kind in (Kind.TAG, Kind.PARAM)
        for key, value in (("a", "bc"), ("ab", "c"), ("a", "b"))
    ]
    assert len(set(each)) == len(each)


def put(script: Script, at_s: float, path: str, content: bytes, **ended: Any) -> None:
    route = f"mlflow-artifacts/artifacts/1/{RUN}/artifacts/{path}"
    asked = effects.asked("PUT", route, {}, content)
    writes: list[list[str | None]] = [[w.kind, w.owner, w.key, w.value] for w in asked.writes]
    script.call(at_s, name=wire.name("PUT", route), writes=writes, **ended)


def listed(script: Script, at_s: float, below: str, *names: str) -> None:
    files = [{"path": name, "is_dir": "." not in name} for name in names]
    path = f"1/{RUN}/artifacts{below}"
    script.get(at_s, "GET artifacts", {"path": path}, {"files": files})


@pytest.mark.parametrize(
    ("below", "names", "stale"),
    [
        ("", ["b.bin", "a.bin", "plots", "later.bin"], 0),
        ("", ["a.bin", "plots"], 1),
        ("", ["a.bin", "b.bin"], 1),
        ("", [], 1),
        ("/plots", ["roc.png"], 0),
        ("/plots", [], 1),
        ("/a.bin", [], 0),
    ],
)
def test_a_list_of_files_has_all_that_was_stored_before(
    script: Script, below: str, names: list[str], stale: int
) -> None:
    for number, path in enumerate(("a.bin", "b.bin", "plots/roc.png")):
        put(script, 101 + number, path, b"x")
    put(script, 105, "later.bin", b"x", ms=5000)
    put(script, 106, "failed.bin", b"x", outcome="fail")
    listed(script, 107, below, *names)
    result = script.judged()
    assert (result.reads, result.stale, result.unexpected) == (1, stale, 0), result.findings


def test_a_list_without_a_file_is_told(script: Script) -> None:
    put(script, 101, "a.bin", b"x")
    listed(script, 103, "")
    [said] = script.judged().findings
    assert said.startswith(f"stale: the list of files of {RUN}, read ")
    assert ": without a.bin; " in said
    assert said.endswith(
        "was acknowledged 1.980 s before it began by user 0 with PUT artifact (0.2)"
    )


def test_files_are_not_judged_where_some_were_removed(script: Script) -> None:
    put(script, 101, "a.bin", b"x")
    script.call(102, name="DELETE artifact", not_audited=["DELETE artifact"])
    listed(script, 103, "")
    assert script.judged().reads == 0


@pytest.mark.parametrize(
    ("content", "stale", "unexpected"),
    [(b"second", 0, 0), (b"under way", 0, 0), (b"first", 1, 0), (b"broken", 0, 1)],
)
def test_which_content_a_download_may_have(
    script: Script, content: bytes, stale: int, unexpected: int
) -> None:
    put(script, 101, "latest.bin", b"first")
    put(script, 102, "latest.bin", b"second")
    put(script, 103, "latest.bin", b"under way", ms=5000)
    saw = [sightings.file(RUN, "latest.bin", wire.sha256(content))]
    script.call(104, name="download 16 KiB", kind="step", saw=saw)
    result = script.judged()
    assert (result.reads, result.stale, result.unexpected) == (1, stale, unexpected)


@pytest.mark.parametrize(
    ("name", "tag", "stale"),
    [("new", "b", 0), ("old", "b", 1), ("new", "a", 1), ("new", None, 1)],
)
def test_an_experiment_has_the_last_name_and_tags(
    script: Script, name: str, tag: str | None, stale: int
) -> None:
    script.post(101, "experiments/update", {"experiment_id": "1", "new_name": "old"})
    for at_s, value in ((102, "a"), (103, "b")):
        body = {"experiment_id": "1", "key": "team", "value": value}
        script.post(at_s, "experiments/set-experiment-tag", body)
    script.post(104, "experiments/update", {"experiment_id": "1", "new_name": "new"})
    tags = [{"key": "of others", "value": "x"}]
    if tag:
        tags.append({"key": "team", "value": tag})
    answer = {"experiment": {"experiment_id": "1", "name": name, "tags": tags}}
    script.get(105, "GET experiments/get", {"experiment_id": "1"}, answer)
    result = script.judged()
    assert (result.reads, result.stale, result.unexpected) == (1, stale, 0), result.findings


def versions(script: Script, at_s: float, *numbers: int, **answer: Any) -> None:
    asked = {"filter": "name = 'churn'"}
    body = {"model_versions": [{"name": "churn", "version": str(n)} for n in numbers]} | answer
    script.get(at_s, "GET model-versions/search", asked, body)


@pytest.mark.parametrize(("numbers", "stale"), [((2, 3), 0), ((2,), 0), ((3,), 1), ((), 1)])
def test_a_list_of_versions_has_all_that_were_there_before(
    script: Script, numbers: tuple[int, ...], stale: int
) -> None:
    script.post(101, "registered-models/create", {"name": "churn"})
    for number in (1, 2):
        created = f"churn/{number}"
        script.post(101 + number, "model-versions/create", {"name": "churn"}, created=created)
    script.send(104, "DELETE", "model-versions/delete", {"name": "churn", "version": "1"})
    script.post(105, "model-versions/create", {"name": "churn"}, created="churn/3", ms=5000)
    versions(script, 106, *numbers)
    result = script.judged()
    assert (result.stale, result.unexpected) == (stale, 0), result.findings
    assert all("the list of versions of churn" in said for said in result.findings)


def test_a_page_of_versions_is_no_list_of_all(script: Script) -> None:
    script.post(101, "registered-models/create", {"name": "churn"})
    for number in (1, 2):
        created = f"churn/{number}"
        script.post(101 + number, "model-versions/create", {"name": "churn"}, created=created)
    versions(script, 106, 1, next_page_token="more")
    assert script.judged().findings == []


def test_versions_of_a_model_that_was_made_again_are_not_expected(script: Script) -> None:
    script.post(101, "registered-models/create", {"name": "churn"})
    script.post(102, "model-versions/create", {"name": "churn"}, created="churn/1")
    script.send(103, "DELETE", "registered-models/delete", {"name": "churn"})
    script.post(104, "registered-models/create", {"name": "churn"})
    versions(script, 106)
    assert script.judged().findings == []


def test_a_search_hides_the_versions_of_a_prompt(script: Script) -> None:
    is_prompt = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    script.post(101, "registered-models/create", {"name": "churn", "tags": is_prompt})
    script.post(102, "model-versions/create", {"name": "churn"}, created="churn/1")
    versions(script, 106)
    assert script.judged().findings == []


TRACE = f"tr-{1:032x}"
ROOT, CHILD = b"root0001", b"child001"


def export(script: Script, at_s: float, *spans: bytes, **ended: Any) -> None:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for span_id in spans:
        scope.spans.add(trace_id=bytes(15) + b"\1", span_id=span_id, name="step")
    headers = {"x-mlflow-experiment-id": "1", "content-type": "application/x-protobuf"}
    asked = effects.asked("POST", "v1/traces", {}, request.SerializeToString(), headers)
    writes: list[list[str | None]] = [[w.kind, w.owner, w.key, w.value] for w in asked.writes]
    assert writes
    script.call(at_s, name="POST v1/traces", writes=writes, replica="mlflow-a-1", **ended)


def set_trace_tag(script: Script, at_s: float, value: str, **ended: Any) -> None:
    script.send(at_s, "PATCH", f"traces/{TRACE}/tags", {"key": "mood", "value": value}, **ended)


def info(**tags: str) -> dict[str, Any]:
    """What the server shows of a trace, with tags of its own."""
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "1"}}
    own = {"mlflow.trace.spansLocation": "TRACKING_STORE"}
    return {"trace_id": TRACE, "trace_location": place, "state": "OK", "tags": own | tags}


def get_trace(script: Script, at_s: float, *spans: bytes, **tags: str) -> None:
    shown = [{"span_id": b64encode(span_id).decode(), "name": "step"} for span_id in spans]
    answer = {"trace": {"trace_info": info(**tags), "spans": shown}}
    script.get(at_s, "GET traces/get", {"trace_id": TRACE}, answer)


def test_fresh_reads_of_a_trace(script: Script) -> None:
    export(script, 101, CHILD)
    get_trace(script, 102, CHILD)
    export(script, 103, ROOT)
    set_trace_tag(script, 104, "good")
    get_trace(script, 105, ROOT, CHILD, mood="good")
    set_trace_tag(script, 106, "bad", ms=900)
    get_trace(script, 106.5, ROOT, CHILD, mood="good")
    answer = {"traces": [info(mood="bad")]}
    searched = {"locations": [info()["trace_location"]]}
    script.get(108, "POST traces/search", searched, answer)
    result = script.judged()
    assert result.findings == []
    assert result.reads == 4


@pytest.mark.parametrize(
    ("spans", "tags", "said"),
    [
        ([CHILD], {"mood": "b"}, f"stale: the spans of {TRACE}"),
        ([ROOT, CHILD], {"mood": "a"}, f"stale: tag mood of {TRACE}"),
        ([ROOT, CHILD], {}, f"stale: tag mood of {TRACE}"),
        ([ROOT, CHILD, b"another1"], {"mood": "b"}, f"unexpected: the spans of {TRACE}"),
    ],
)
def test_a_trace_as_it_was_before(
    script: Script, spans: list[bytes], tags: dict[str, str], said: str
) -> None:
    export(script, 101, CHILD)
    export(script, 102, ROOT)
    set_trace_tag(script, 103, "a")
    set_trace_tag(script, 104, "b")
    get_trace(script, 105, *spans, **tags)
    [finding] = script.judged().findings
    assert finding.startswith(said)


def test_a_trace_that_a_replica_does_not_know_yet(script: Script) -> None:
    export(script, 101, ROOT)
    asked = sightings.asked("GET traces/{id}", f"traces/{TRACE}", {})
    message = f"Trace with ID '{TRACE}' not found."
    answer = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}
    script.get(102, "GET traces/{id}", asked, answer, status=404)
    [finding] = script.judged().findings
    assert finding.startswith(f"stale: all of {TRACE}")
    assert "that it is not there" in finding


def test_a_deleted_trace(script: Script) -> None:
    export(script, 101, ROOT, CHILD)
    script.post(102, "traces/delete-traces", {"experiment_id": "1", "request_ids": [TRACE]})
    get_trace(script, 103, ROOT, CHILD)
    result = script.judged()
    assert result.stale == 1
    for finding in result.findings:
        assert finding.startswith(f"stale: all of {TRACE}")


def test_late_spans_bring_a_deleted_trace_back_without_the_others(script: Script) -> None:
    export(script, 101, ROOT)
    script.post(102, "traces/delete-traces", {"experiment_id": "1", "request_ids": [TRACE]})
    export(script, 103, CHILD)
    get_trace(script, 104, CHILD)
    assert script.judged().findings == []


def test_traces_of_other_experiments_are_not_looked_at() -> None:
    answer = json.dumps({"traces": [info()]}).encode()
    searched = {"locations": [info()["trace_location"]]}
    assert sightings.seen("POST traces/search", searched, 200, answer, "1")
    assert sightings.seen("POST traces/search", searched, 200, answer, "2") == []
    whole = json.dumps({"trace": {"trace_info": info()}}).encode()
    assert sightings.seen("GET traces/get", {"trace_id": TRACE}, 200, whole, "2") == []
