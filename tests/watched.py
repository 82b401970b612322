"""A run in a few lines: the real client's calls go into a history, and are read back and judged.

Nothing is patched for gevent and no load is generated: for tests that want to know what became of
single calls.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import requests
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from tests.unit.workloads.builders import plan
from workloads import readback
from workloads.checkers import durability
from workloads.history import history
from workloads.history.history import History
from workloads.history.tables import opened
from workloads.history.wire import TOKEN_TAG
from workloads.load.call_recorder import CallRecorder
from workloads.load.process import Process
from workloads.load.session import Session
from workloads.target.target import Subject
from workloads.verdict.result import Durability


class Watched:
    """A user with the real client, whose calls are written down in `folder`."""

    def __init__(self, folder: Path, uri: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.uri = uri
        self.client = MlflowClient(uri, registry_uri=uri)
        name = f"test {folder.name} {secrets.token_hex(4)}"
        self.experiment_id = str(self.client.create_experiment(name))
        self.history = folder / "history.jsonl"
        made = plan(tracking_uri=uri, experiment_id=self.experiment_id)
        writer = History(self.history)
        writer.event("plan", plan=made.model_dump(mode="json"))
        environment = SimpleNamespace(
            events=SimpleNamespace(request=SimpleNamespace(fire=lambda **_: None)), runner=None
        )
        self._process = Process(environment, writer, made, 0)  # type: ignore[arg-type]

    @contextmanager
    def calls(self) -> Iterator[Session]:
        """Write down the calls that are made inside."""
        with patch.object(requests.Session, "request", requests.Session.request):
            CallRecorder(self._process).install()
            session = self._process.new_session()
            session.begin()
            yield session

    def create_run(self, session: Session) -> str:
        """Create a run as users do, with a token and a name; return its id."""
        token = session.token()
        run = self.client.create_run(
            self.experiment_id, tags={TOKEN_TAG: token}, run_name=f"run {token}"
        )
        return str(run.info.run_id)

    def log_run(self, session: Session) -> str:
        """Write a little of everything that a training writes; return the run's id."""
        run = self.create_run(session)
        points = [Metric("loss", 1 / step, 1000, step) for step in range(1, 6)]
        self.client.log_batch(run, points, [Param("depth", "6")])
        self.client.log_text(run, session.token(), "notes/text.txt")
        self.client.set_terminated(run)
        return run

    def judged(self, subject: Subject, until_ns: int | None = None) -> Durability:
        """Read everything back from the subject, and judge."""
        path = self.folder / "readback.jsonl"
        path.unlink(missing_ok=True)
        operations = history.operations(self.history)
        readback.read_back(subject, self.experiment_id, operations, path, lambda *_: None)
        with opened(self.history, path) as tables:
            return durability.judge(tables, until_ns)
