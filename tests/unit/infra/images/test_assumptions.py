"""What the image's programs assume of MLflow's inside, on made-up modules that lack something."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from infra.images.mlflow.assumptions import __main__ as command
from infra.images.mlflow.assumptions import imports
from infra.images.mlflow.assumptions.places import Assumption, problem
from infra.releases import contents

SOURCE = """
import asyncio

LIMIT = 5
NONE = None

def __getattr__(name):
    if name == "lazy":
        raise RuntimeError("no driver")
    raise AttributeError(name)

class Store:
    kind = None

    def __init__(self):
        self.sessions = None

    def log(self, location, spans, force=False):
        return spans

    async def later(self, location):
        return location

    @classmethod
    def decode(cls, token):
        return token

    @property
    def folder(self):
        return "folder"

class Option:
    opts = ["--older-than", "-o"]

class Command:
    params = [Option]

command = Command()
"""


@pytest.fixture(autouse=True)
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = tmp_path / "madeup"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "store.py").write_text(SOURCE)
    (package / "broken.py").write_text("import nowhere_to_be_found\n")
    (package / "failing.py").write_text("raise RuntimeError('no database')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "madeup"]:
        del sys.modules[name]


STORE = "madeup.store:Store"


@pytest.mark.parametrize(
    "assumption",
    [
        Assumption("madeup.store"),
        Assumption("madeup:store"),
        Assumption("madeup.store:LIMIT"),
        Assumption("madeup.store:NONE"),
        Assumption(f"{STORE}.kind"),
        Assumption(f"{STORE}.folder"),
        Assumption(f"{STORE}.log", parameters="location spans", coroutine=False),
        Assumption(f"{STORE}.log", parameters=""),
        Assumption(f"{STORE}.later", coroutine=True),
        Assumption(f"{STORE}.decode", parameters="cls token"),
        Assumption(f"{STORE}.__init__", source="self.sessions = "),
    ],
)
def test_what_is_there_is_no_problem(assumption: Assumption) -> None:
    assert problem(assumption) is None


@pytest.mark.parametrize(
    ("assumption", "said"),
    [
        (Assumption("madeup.gone"), "module madeup.gone is missing"),
        (Assumption("madeup.gone.below:x"), "module madeup.gone is missing"),
        (Assumption("madeup:gone"), "madeup:gone is missing"),
        (
            Assumption("madeup.broken:x"),
            "module madeup.broken cannot be imported: No module named 'nowhere_to_be_found'",
        ),
        (
            Assumption("madeup.failing:x"),
            "module madeup.failing cannot be imported: RuntimeError: no database",
        ),
        (Assumption("madeup.store:MORE"), "madeup.store:MORE is missing"),
        (Assumption(f"{STORE}.gone"), f"{STORE}.gone is missing"),
        (
            Assumption(f"{STORE}.log", parameters="experiment_id spans"),
            f"{STORE}.log takes location, spans, force, not experiment_id, spans first",
        ),
        (Assumption(f"{STORE}.log", coroutine=True), f"{STORE}.log is not a coroutine"),
        (Assumption(f"{STORE}.later", coroutine=False), f"{STORE}.later is not a plain function"),
        (
            Assumption(f"{STORE}.__init__", source="self.engine = "),
            f"{STORE}.__init__ has no self.engine =  in it",
        ),
        (
            Assumption("madeup.store:LIMIT", parameters="a"),
            "madeup.store:LIMIT cannot be looked at: TypeError: 5 is not a callable object",
        ),
        (
            Assumption(STORE, columns="id"),
            f"{STORE} cannot be looked at: AttributeError: type object 'Store' has no attribute "
            "'__table__'",
        ),
        (
            Assumption("madeup.store:lazy"),
            "madeup.store:lazy cannot be taken: RuntimeError: no driver",
        ),
        (
            Assumption("madeup:failing"),
            "module madeup.failing cannot be imported: RuntimeError: no database",
        ),
    ],
)
def test_what_does_not_hold_is_named(assumption: Assumption, said: str) -> None:
    assert problem(assumption) == said


def test_columns_and_options_are_looked_for() -> None:
    runs = "mlflow.store.tracking.dbmodels.models:SqlRun"
    assert problem(Assumption(runs, columns="run_uuid experiment_id")) is None
    assert problem(Assumption(runs, columns="run_uuid colour")) == f"{runs} has no column colour"
    base = "mlflow.store.db.base_sql_model:Base"
    assert problem(Assumption(base, columns="runs.run_uuid")) is None
    assert problem(Assumption(base, columns="moons.id")) == f"{base} has no column moons.id"
    own = "madeup.store:command"
    assert problem(Assumption(own, options="--older-than")) is None
    assert problem(Assumption(own, options="-o --moon")) == f"{own} has no option --moon"


def test_what_a_program_takes_from_mlflow_is_read_from_its_source() -> None:
    assert imports.of_source(
        """
import os
import mlflow
import mlflow.tracking.fluent
from mlflow import cli
from mlflow.store.db import utils as tables
from typing import Any

def later():
    from mlflow.server import auth
    return auth.store._get_user(os.environ)

module: Any = cli
module.get_artifact_repository = None
tables.migrate_if_needed = mlflow.set_tracking_uri
mlflow.tracking.fluent.active_run().info.run_id
"""
    ) == {
        "mlflow",
        "mlflow:set_tracking_uri",
        "mlflow:tracking",
        "mlflow.tracking.fluent",
        "mlflow.tracking.fluent:active_run",
        "mlflow:cli",
        "mlflow:cli.get_artifact_repository",
        "mlflow.store.db:utils",
        "mlflow.store.db:utils.migrate_if_needed",
        "mlflow.server:auth",
        "mlflow.server:auth.store",
    }


def test_a_release_that_does_not_fit_is_one_line_with_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    version = ModuleType("mlflow.version")
    version.VERSION = "3.99.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow.version", version)
    gone = [Assumption(f"{STORE}.gone_{number}") for number in range(7)]
    line, status = command.check([*gone, *gone, Assumption("madeup.store:LIMIT")])
    assert status == 1
    assert "\n" not in line
    assert line == (
        "refused: mlflow 3.99.0 does not fit this image: "
        + "; ".join(f"{STORE}.gone_{number} is missing" for number in range(5))
        + "; and 2 more"
    )


def test_what_shows_a_feature_is_what_a_stack_file_is_refused_by() -> None:
    auth, trace_jobs, rollups = command.FEATURES.values()
    for key, place in {
        "auth": auth,
        "trace_archival": trace_jobs,
        "trace_retention": trace_jobs,
        "trace_rollups": rollups,
    }.items():
        module, _, name = place.partition(":")
        file, text = contents.FEATURES[key]
        path = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        assert (f"mlflow.{path}", f"def {name}(") == (module, text)
