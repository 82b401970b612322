"""What a package of MLflow holds, by its files: other releases are not there to be imported.

Of a release that has a lock, the lock says it: `scripts/lock` has looked.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from zipfile import Path as ZipPath

from infra import releases

Package = Path | ZipPath
"""The folder `mlflow`, installed, of a checkout, or in a wheel."""

MIGRATIONS = ("store/db_migrations/versions", "server/auth/db/migrations/versions")
"""Folders of the migrations of a server's database: of runs and models, and of users."""

_TRACE_JOBS = "def initialize_periodic_tasks_tracking_store("

FEATURES = {
    "auth": ("server/auth/__init__.py", "def _canonical_artifact_proxy_path("),
    "trace_archival": ("server/jobs/utils.py", _TRACE_JOBS),
    "trace_retention": ("server/jobs/utils.py", _TRACE_JOBS),
    "trace_rollups": ("tracing/trace_rollup_service.py", "def run_sql_trace_rollup_scheduler("),
}
"""What a release has to hold for a key of a stack file: a text in a file of the package.

The latest of it, where there is more; `infra/images/mlflow/assumptions` looks at all of it."""

SCHEMA, LACKS = "schema", "lacks"

_REVISION = re.compile(r"^(down_)?revision\b[^=\n]*=(.*)$", re.MULTILINE)
_QUOTED = re.compile(r"""["'](\w+)["']""")


def schema(mlflow: str | Path | None, *, users: bool = True) -> str:
    """Return the revisions of the schema that `mlflow` of a stack file brings a database to.

    Both of `MIGRATIONS`, as `dc11669786a5 f1a2b3c4d5e6`, the first alone without `users`; empty
    where they are not known.
    """
    if isinstance(mlflow, str) and mlflow != releases.pinned():
        noted = _noted(mlflow, SCHEMA)
        return noted if users else " ".join(noted.split()[:1])
    return schema_of(package(mlflow if isinstance(mlflow, Path) else None), users=users)


def lacks(mlflow: str | Path | None) -> list[str]:
    """Return the keys of a stack file that `mlflow` of it has no code for."""
    if isinstance(mlflow, str) and mlflow != releases.pinned():
        return _noted(mlflow, LACKS).split()
    return lacks_of(package(mlflow if isinstance(mlflow, Path) else None))


def package(mlflow: Path | None) -> Package:
    """Return the package of a wheel or a source folder; None: the one that is installed here."""
    if mlflow is None:
        found = find_spec("mlflow")
        places = found.submodule_search_locations if found else None
        assert places
        return Path(places[0])
    return ZipPath(mlflow, "mlflow/") if mlflow.suffix == ".whl" else mlflow / "mlflow"


def schema_of(root: Package, *, users: bool = True) -> str:
    """Return what `schema` does, of a package."""
    folders = MIGRATIONS if users else MIGRATIONS[:1]
    return " ".join(head for folder in folders for head in _heads(root / folder))


def lacks_of(root: Package) -> list[str]:
    """Return what `lacks` does, of a package."""
    return [
        key
        for key, (file, text) in FEATURES.items()
        if not (root / file).is_file() or text not in (root / file).read_text("utf-8")
    ]


def notes(root: Package) -> str:
    """Return the lines by which a lock says what is in a package."""
    lines = f"# {SCHEMA}: {schema_of(root)}", " ".join([f"# {LACKS}:", *lacks_of(root)])
    return "".join(f"{line}\n" for line in lines)


def _noted(release: str, what: str) -> str:
    lines = releases.lock(release).read_text().splitlines()
    prefix = f"# {what}:"
    return next((one.removeprefix(prefix).strip() for one in lines if one.startswith(prefix)), "")


def _heads(folder: Package) -> list[str]:
    """Return the revisions of alembic's files that no other one follows; one as a rule."""
    own: set[str] = set()
    followed: set[str] = set()
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.name.endswith(".py"):
            for down, names in _REVISION.findall(file.read_text("utf-8")):
                (followed if down else own).update(_QUOTED.findall(names))
    return sorted(own - followed)
