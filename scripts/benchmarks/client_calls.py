"""What clients do, by the client that is installed here: a line of JSON for each.

    PYTHON client_calls.py URI NAME [--rule-of-3.18]

Runs in an environment that has mlflow and nothing of this project, so it imports nothing of it.
URI is that of `flaky_proxy`; NAME is new, and begins the names of all that is made. A line has
`what`, `outcome` (`works`, `absent` or what went wrong) and `requests`, the statuses of each call
that was sent more than once; those of a fault have what the server has in the end, too.
"""

import importlib.util
import json
import os
import sys
import tempfile
import urllib.request
import warnings
from pathlib import Path
from typing import Any

os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
    MLFLOW_REQUIREMENTS_INFERENCE_TIMEOUT="0",
    GIT_PYTHON_REFRESH="quiet",
)
warnings.filterwarnings("ignore")

from urllib3.connectionpool import HTTPConnectionPool  # noqa: E402

sent: list[tuple[str, str, str]] = []
"""Method, path and status (or error) of each request."""


class AbsentError(Exception):
    """This release has no such thing."""


def watch() -> None:
    """Note every request, the repeated ones too."""
    make = HTTPConnectionPool._make_request

    def noted(pool, conn, method, url, *args, **kwargs):  # type: ignore[no-untyped-def]
        path = url.partition("?")[0]
        try:
            answer = make(pool, conn, method, url, *args, **kwargs)
        except Exception:
            sent.append((method, path, "lost"))
            raise
        sent.append((method, path, str(answer.status)))
        return answer

    HTTPConnectionPool._make_request = noted  # type: ignore[assignment]


def ask(uri: str, path: str, body: dict) -> dict:  # type: ignore[type-arg]
    """Ask the server past the client."""
    request = urllib.request.Request(
        uri + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)  # type: ignore[no-any-return]


class Calls:
    """What clients do, in this order; what one makes the next ones use."""

    def __init__(self, uri: str, name: str) -> None:
        import mlflow

        self.mlflow: Any = mlflow
        self.uri, self.name = uri, name
        self.trace: Any = None
        mlflow.set_tracking_uri(uri)
        self.client: Any = mlflow.MlflowClient()

    def create_experiment(self) -> None:
        self.experiment = self.client.create_experiment(self.name)
        assert self.client.get_experiment_by_name(self.name).experiment_id == self.experiment

    def begin_a_run(self) -> None:
        self.run = self.client.create_run(self.experiment).info.run_id

    def log_a_batch(self) -> None:
        entities = self.mlflow.entities
        metrics = [entities.Metric("loss", 1 / (step + 1), 1, step) for step in range(10)]
        params = [entities.Param("depth", "6")]
        self.client.log_batch(self.run, metrics, params, [entities.RunTag("team", "a")])
        run = self.client.get_run(self.run).data
        assert (run.metrics["loss"], run.params["depth"], run.tags["team"]) == (0.1, "6", "a")
        assert len(self.client.get_metric_history(self.run, "loss")) == 10

    def log_one_metric_parameter_tag(self) -> None:
        self.client.log_metric(self.run, "accuracy", 0.5, step=1)
        self.client.log_param(self.run, "width", 3)
        self.client.set_tag(self.run, "owner", "b")
        run = self.client.get_run(self.run).data
        assert (run.metrics["accuracy"], run.params["width"], run.tags["owner"]) == (0.5, "3", "b")

    def artifacts_up_list_down(self) -> None:
        content = os.urandom(300_000)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "file.bin").write_bytes(content)
            self.client.log_artifacts(self.run, folder, "some")
        assert [f.path for f in self.client.list_artifacts(self.run, "some")] == ["some/file.bin"]
        with tempfile.TemporaryDirectory() as folder:
            got = self.client.download_artifacts(self.run, "some/file.bin", folder)
            assert Path(got).read_bytes() == content

    def end_a_run(self) -> None:
        self.client.set_terminated(self.run)
        assert self.client.get_run(self.run).info.status == "FINISHED"

    def search_runs(self) -> None:
        found = self.client.search_runs(
            [self.experiment], "params.depth = '6' and metrics.loss < 1"
        )
        assert [run.info.run_id for run in found] == [self.run]

    def delete_and_restore(self) -> None:
        self.client.delete_run(self.run)
        assert self.client.search_runs([self.experiment]) == []
        self.client.restore_run(self.run)
        assert len(self.client.search_runs([self.experiment])) == 1

    def data_set_of_a_run(self) -> None:
        import numpy as np

        self.mlflow.set_experiment(self.name)
        data = self.mlflow.data.from_numpy(np.array([[1.0], [2.0]]), name="rows")
        with self.mlflow.start_run(run_id=self.run):
            self.mlflow.log_input(data, "training")
        assert len(self.client.get_run(self.run).inputs.dataset_inputs) == 1

    def log_a_model(self) -> None:
        from sklearn.linear_model import LinearRegression  # type: ignore[import-untyped]

        model = LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
        of = {"artifact_path": "model"} if self.mlflow.__version__ < "3" else {"name": "model"}
        with self.mlflow.start_run(run_id=self.run):
            self.model = self.mlflow.sklearn.log_model(
                model, pip_requirements=["scikit-learn"], **of
            ).model_uri

    def register_alias_load(self) -> None:
        version = self.mlflow.register_model(self.model, self.name)
        self.client.set_registered_model_alias(self.name, "best", version.version)
        loaded = self.mlflow.sklearn.load_model(f"models:/{self.name}@best")
        assert round(float(loaded.predict([[3.0]])[0])) == 6

    def autolog_with_sklearn(self) -> None:
        from sklearn.linear_model import LinearRegression

        self.mlflow.sklearn.autolog()
        try:
            with self.mlflow.start_run() as run:
                LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0])
        finally:
            self.mlflow.sklearn.autolog(disable=True)
        assert "fit_intercept" in self.client.get_run(run.info.run_id).data.params

    def traces(self) -> None:
        with self.mlflow.start_span("outer") as span, self.mlflow.start_span("inner"):
            span.set_inputs({"question": "?"})
            span.set_outputs("!")
        if hasattr(self.mlflow, "flush_trace_async_logging"):
            self.mlflow.flush_trace_async_logging()
        found = self.client.search_traces([self.experiment])
        assert [len(trace.data.spans) for trace in found] == [2]
        self.trace = found[0]

    def feedback_on_a_trace(self) -> None:
        if not hasattr(self.mlflow, "log_feedback"):
            raise AbsentError
        assert self.trace, "there is no trace to give it to"
        trace = getattr(self.trace.info, "trace_id", None) or self.trace.info.request_id
        me = self.mlflow.entities.AssessmentSource(source_type="HUMAN", source_id="me")
        self.mlflow.log_feedback(trace_id=trace, name="good", value=True, source=me)
        assert [a.name for a in self.client.get_trace(trace).info.assessments] == ["good"]

    def evaluation_data_sets(self) -> None:
        if importlib.util.find_spec("mlflow.genai") is None:
            raise AbsentError
        from mlflow.genai import datasets

        made = datasets.create_dataset(name=self.name, experiment_id=[self.experiment])
        made.merge_records([{"inputs": {"q": "1"}, "expectations": {"a": "2"}}])
        assert len(datasets.get_dataset(dataset_id=made.dataset_id).to_df()) == 1

    def create(self, fault: str) -> str:
        """Create a run while `fault` hits it; say what the client and the server have."""
        token = f"{self.name}-{fault}"
        ask(self.uri, "/next-fault", {"route": "/runs/create", "fault": fault})
        before = len(sent)
        try:
            known = self.client.create_run(self.experiment, tags={"token": token}).info.run_id
        except Exception:
            known = None
        body = {"experiment_ids": [self.experiment], "filter": f"tags.token = '{token}'"}
        there = ask(self.uri, "/api/2.0/mlflow/runs/search", body).get("runs", [])
        others = sum(run["info"]["run_id"] != known for run in there)
        has = "call succeeds" if known else "call fails"
        word = "double" if known else "orphan"
        return f"{has}{f', {others} {word}' if others else ''} ({statuses(before)})"

    def log(self, fault: str) -> str:
        """Log a batch while `fault` hits it."""
        run = self.client.create_run(self.experiment).info.run_id
        ask(self.uri, "/next-fault", {"route": "/runs/log-batch", "fault": fault})
        before = len(sent)
        try:
            self.client.log_batch(run, [self.mlflow.entities.Metric("loss", 1.0, 1, 1)])
            has = "call succeeds"
        except Exception:
            has = "call fails"
        said = statuses(before)
        points = len(self.client.get_metric_history(run, "loss"))
        return f"{has}, {points} point{'' if points == 1 else 's'} ({said})"


def statuses(since: int) -> str:
    return ", ".join(status for _, _, status in sent[since:])


WHAT = {
    "create an experiment": Calls.create_experiment,
    "begin a run": Calls.begin_a_run,
    "log a batch": Calls.log_a_batch,
    "log one metric, parameter, tag": Calls.log_one_metric_parameter_tag,
    "artifacts: up, list, down": Calls.artifacts_up_list_down,
    "search runs": Calls.search_runs,
    "delete and restore a run": Calls.delete_and_restore,
    "data set of a run": Calls.data_set_of_a_run,
    "log a model": Calls.log_a_model,
    "register it, alias, load": Calls.register_alias_load,
    "autolog with scikit-learn": Calls.autolog_with_sklearn,
    "trace of two spans, and back": Calls.traces,
    "feedback on a trace": Calls.feedback_on_a_trace,
    "evaluation data set": Calls.evaluation_data_sets,
    "end a run": Calls.end_a_run,
}
FAULTS = ("429", "502", "503", "lost")


def again(since: int) -> list[str]:
    """Return the calls since then that were not answered with success at once."""
    return [
        f"{method} {path} {status}"
        for method, path, status in sent[since:]
        if not status.startswith(("2", "3"))
    ]


def one(calls: Calls, what: str) -> dict[str, object]:
    before = len(sent)
    try:
        WHAT[what](calls)
        outcome = "works"
    except AbsentError:
        outcome = "absent"
    except Exception as error:
        first = (str(error).strip() or "no reason given").splitlines()[0]
        outcome = f"{type(error).__name__}: {first}"
    said = {"what": what, "outcome": outcome, "requests": len(sent) - before}
    return {**said, "not_at_once": again(before)}


def main(uri: str, name: str, *options: str) -> int:
    watch()
    if options:
        from workloads.load import retry_rule

        retry_rule.install()
    calls = Calls(uri, name)
    print(json.dumps({"release": calls.mlflow.__version__}), flush=True)
    for what in WHAT if not options else ("create an experiment",):
        print(json.dumps(one(calls, what)), flush=True)
    for fault in FAULTS:
        for title, call in (("create a run", calls.create), ("log a batch", calls.log)):
            said = {"what": title, "fault": fault, "outcome": call(fault)}
            print(json.dumps(said), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
