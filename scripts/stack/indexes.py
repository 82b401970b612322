"""The indexes that a release of MLflow makes, and those that a database lacks.

Lost ones make MLflow slow and nothing fails (github.com/mlflow/mlflow/issues/14465). What a fresh
database of a release has is in `infra/releases/RELEASE.indexes`, a definition a line;
`python -m scripts.benchmarks.indexes` writes it. Without packages of others, for the doctor.
"""

import re
from collections.abc import Iterable

from infra import releases

QUERY = (
    "select (select mlflow_version from mlflow_bench.deployment) union all"
    " (select indexdef from pg_indexes where schemaname = 'public' order by indexdef)"
)
"""One column: the release that the schema job wrote down, then each definition."""

_NAME = re.compile(r"(?<=INDEX )\S+(?= ON )")


def expected(release: str) -> list[str] | None:
    """Return the definitions of a fresh database of a release; None: they are not known."""
    path = releases.FOLDER / f"{release}.indexes"
    return path.read_text().splitlines() if path.exists() else None


def missing(wanted: Iterable[str], present: Iterable[str]) -> list[str]:
    """Return those that are wanted and not there; what an index is called does not matter."""
    there = {_NAME.sub("", definition) for definition in present}
    return [definition for definition in wanted if _NAME.sub("", definition) not in there]


def name(definition: str) -> str:
    """Return the name in a definition."""
    found = _NAME.search(definition)
    return found[0] if found else definition


def concurrently(definition: str) -> str:
    """Return the statement that makes an index while people work."""
    return definition.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
