"""A saved run's history against a stack that has to hold the same: one that was restored."""

# Locust patches the standard library for gevent when it is imported: before everything else.
import locust  # noqa: F401

# isort: split

import tempfile
from datetime import datetime
from pathlib import Path

from workloads import readback
from workloads.checkers import durability
from workloads.history import history, record
from workloads.history.history import HISTORY
from workloads.history.tables import opened
from workloads.target.target import Subject
from workloads.verdict.judge import READBACK
from workloads.verdict.result import Durability


def audit(folder: Path, subject: Subject, until: datetime | None) -> Durability:
    """Read from `subject` what the run in `folder` wrote, and judge it.

    What was acknowledged after `until` may be there or not. Raises `CannotRunError` if the
    history is missing or damaged.
    """
    path = folder / HISTORY
    experiment_id = record.load(path).plan.experiment_id
    until_ns = int(until.timestamp() * 1e9) if until else None
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as scratch:
        read = Path(scratch) / READBACK
        operations = history.operations(path)
        readback.read_back(subject, experiment_id, operations, read, lambda *_: None)
        with opened(path, read) as tables:
            return durability.judge(tables, until_ns)
