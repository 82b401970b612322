"""What a package of MLflow holds is read from its files, wherever it lies."""

import zipfile
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from mlflow.store.db import utils

from infra import releases
from infra.releases import contents
from infra.specification.deployment import DeploymentSpec

MIGRATION = """
revision = "{revision}"
down_revision = {down}
branch_labels = None
"""


def package(root: Path, revisions: dict[str, str], features: tuple[str, ...] = ()) -> Path:
    folder = root / "mlflow"
    for migrations in contents.MIGRATIONS:
        (folder / migrations).mkdir(parents=True)
        (folder / migrations / "__init__.py").touch()
    for revision, down in revisions.items():
        file = folder / contents.MIGRATIONS[0] / f"{revision}_step.py"
        file.write_text(MIGRATION.format(revision=revision, down=down))
    for key in features:
        file = folder / contents.FEATURES[key][0]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(contents.FEATURES[key][1])
    return folder


def zipped(folder: Path, wheel: Path) -> Path:
    with zipfile.ZipFile(wheel, "w") as file:
        for path in folder.rglob("*"):
            file.write(path, path.relative_to(folder.parent))
    return wheel


def test_the_installed_one_is_known_as_alembic_knows_it() -> None:
    config = utils._get_alembic_config("")  # type: ignore[no-untyped-call]
    head = ScriptDirectory.from_config(config).get_current_head()
    assert contents.schema(None).split()[0] == head
    assert contents.schema(None, users=False) == head
    assert contents.schema(releases.pinned()) == contents.schema(None)
    assert contents.lacks(None) == []


@pytest.mark.parametrize(
    ("revisions", "heads"),
    [
        ({}, ""),
        ({"aaa1": "None"}, "aaa1"),
        ({"aaa1": "None", "bbb2": "'aaa1'", "ccc3": '"bbb2"'}, "ccc3"),
        ({"aaa1": "None", "bbb2": "'aaa1'", "ccc3": "'aaa1'"}, "bbb2 ccc3"),
        ({"a1": "None", "b2": "'a1'", "c3": "'a1'", "d4": "('b2', 'c3')"}, "d4"),
    ],
)
def test_the_schema_is_what_no_migration_follows(
    tmp_path: Path, revisions: dict[str, str], heads: str
) -> None:
    assert contents.schema_of(package(tmp_path, revisions)) == heads


def test_a_checkout_and_a_wheel_are_looked_into(tmp_path: Path) -> None:
    folder = package(tmp_path, {"aaa1": "None"}, ("trace_rollups",))
    wheel = zipped(folder, tmp_path / "mlflow-3.99.0-py3-none-any.whl")
    for mlflow in (tmp_path, wheel):
        assert contents.schema(mlflow) == "aaa1"
        assert set(contents.lacks(mlflow)) == contents.FEATURES.keys() - {"trace_rollups"}


def test_a_folder_without_migrations_has_no_known_schema(tmp_path: Path) -> None:
    assert contents.schema(tmp_path) == ""


def test_every_key_is_one_of_a_stack_file() -> None:
    assert contents.FEATURES.keys() <= DeploymentSpec.model_fields.keys()


@pytest.mark.parametrize(
    "release", [one for one in releases.supported() if one != releases.pinned()]
)
def test_a_lock_says_what_is_in_its_release(release: str) -> None:
    runs, users = contents.schema(release).split()
    assert len(runs) == len(users) == 12
    assert contents.schema(release, users=False) == runs
    assert set(contents.lacks(release)) <= contents.FEATURES.keys()
