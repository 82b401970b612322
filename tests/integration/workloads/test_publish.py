"""A saved run on a real tracking server."""

import json
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from tests.integration.workloads.conftest import Server
from tests.ports import free_port
from tests.unit.workloads.builders import Folder, plan, stage
from workloads import CannotRunError
from workloads.plan.plan import Load
from workloads.report.publish import Became, parameters, publish
from workloads.verdict.judge import conclude
from workloads.verdict.result import Result


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def saved(path: Path) -> Path:
    """A climb of two stages and an open one, of the name of the folder."""
    folder = Folder(path).api_run(
        stage(name="1 user", users=1),
        stage(name="2 users", users=2),
        stage(name="30/s", load=Load.OPEN, users=8, rate=30),
    )
    folder.lines[0]["plan"]["subject"] = path.name
    folder.lines[0]["plan"]["experiment_id"] = path.name
    conclude(folder.save())
    return path


def runs(server: Server, experiment: str) -> list[Run]:
    client = MlflowClient(tracking_uri=server.uri)
    found = client.get_experiment_by_name(experiment)
    assert found
    return list(client.search_runs([found.experiment_id]))


def test_a_run_is_there_with_all_that_it_found(server: Server, tmp_path: Path) -> None:
    folder = saved(tmp_path / "all")
    done = publish(folder, server.uri, "all")
    result = Result.model_validate_json((folder / "result.json").read_text())
    [run] = runs(server, "all")
    assert done.became is Became.NEW
    assert done.address.endswith(f"/runs/{run.info.run_id}")
    assert (run.info.run_name, run.info.status) == ("all metrics quick", "FINISHED")
    assert run.info.end_time - run.info.start_time == 36_000
    assert run.data.params["profile.users"] == "2"
    assert run.data.params["objectives.p95_ms"] == "100.0"
    assert run.data.params["target.replicas"] == "1"
    assert run.data.tags["mlflow-bench.verdict"] == result.verdict.judgement
    assert run.data.tags["mlflow-bench.reasons"] == "\n".join(result.verdict.reasons)
    assert result.verdict.reasons[0] in run.data.tags["mlflow.note.content"]
    client = MlflowClient(tracking_uri=server.uri)
    rates = client.get_metric_history(run.info.run_id, "closed/rate")
    assert {one.step: one.value for one in rates} == {
        figures.stage.users: figures.calls.rate for figures in result.stages[:2]
    }
    [planned] = client.get_metric_history(run.info.run_id, "open/p95_ms")
    response_time = result.stages[2].calls.response_time
    assert response_time
    assert (planned.step, planned.value) == (30, response_time.p95_ms)
    assert run.data.metrics["p50_ms/call POST runs-log-batch"] > 0
    assert (run.data.metrics["failed_calls"], run.data.metrics["audit/lost"]) == (0, 0)
    there = {one.path for one in client.list_artifacts(run.info.run_id)}
    assert there == {path.name for path in folder.iterdir()} - {"history.jsonl", "readback.jsonl"}
    copy = Path(client.download_artifacts(run.info.run_id, "result.json", str(tmp_path)))
    assert copy.read_bytes() == (folder / "result.json").read_bytes()


def test_a_run_is_published_once(server: Server, tmp_path: Path) -> None:
    first, other = saved(tmp_path / "first"), saved(tmp_path / "other")
    done = publish(first, server.uri, "once")
    again = publish(first, server.uri, "once")
    assert (again.became, again.address) == (Became.SAME, done.address)
    assert publish(other, server.uri, "once").became is Became.NEW
    assert len(runs(server, "once")) == 2


def test_a_run_that_was_judged_again_is_brought_up_to_date(server: Server, tmp_path: Path) -> None:
    folder = saved(tmp_path / "changed")
    done = publish(folder, server.uri, "changed")
    path = folder / "result.json"
    known = json.loads(path.read_text())
    known["verdict"] = {"judgement": "bad", "reasons": ["It is otherwise."]}
    known["stages"][0]["calls"]["rate"] = 1.5
    path.write_text(json.dumps(known))
    again = publish(folder, server.uri, "changed")
    assert (again.became, again.address) == (Became.CHANGED, done.address)
    [run] = runs(server, "changed")
    assert run.data.tags["mlflow-bench.verdict"] == "bad"
    client = MlflowClient(tracking_uri=server.uri)
    rates = client.get_metric_history(run.info.run_id, "closed/rate")
    assert sorted(one.step for one in rates) == [1, 1, 2], "what is as it was is not written again"
    assert max(rates, key=lambda one: (one.timestamp, one.step == 1)).value == 1.5
    assert publish(folder, server.uri, "changed").became is Became.SAME


def test_what_was_cut_off_is_completed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = saved(tmp_path / "cut")
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(MlflowClient, "log_artifact", full)
        with pytest.raises(CannotRunError, match=r"does not take the run: OSError: .* No space"):
            publish(folder, server.uri, "cut")
    assert publish(folder, server.uri, "cut").became is Became.CHANGED
    [run] = runs(server, "cut")
    assert run.info.status == "FINISHED"


def test_an_experiment_that_cannot_be_had_is_one_line(server: Server, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri=server.uri)
    client.delete_experiment(client.create_experiment("deleted"))
    with pytest.raises(CannotRunError, match="must be in the 'active' state"):
        publish(saved(tmp_path / "x"), server.uri, "deleted")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda _: None, "result.json: No such file or directory; give the folder of a run"),
        (lambda path: path.write_text("{}"), "recheck --write"),
    ],
)
def test_a_folder_without_a_result_is_one_line(tmp_path: Path, make: object, said: str) -> None:
    assert callable(make)
    make(tmp_path / "result.json")
    with pytest.raises(CannotRunError, match=said):
        publish(tmp_path, "http://127.0.0.1:1", "x")


def test_a_server_that_is_not_there_is_one_line_at_once(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(CannotRunError, match=f"no tracking server answers at {address}"):
        publish(saved(tmp_path / "x"), address, "x")


def test_parameters_are_names_and_texts_that_servers_take() -> None:
    made = plan(faults=("noop", "replica-kill"), environment={"CPU (all)": "2 cores"})
    found = dict(parameters(made))
    assert found["faults"] == "noop,replica-kill"
    assert found["environment.CPU -all-"] == "2 cores"
    assert "target.components" not in found
