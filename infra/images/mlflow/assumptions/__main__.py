"""Command line of the check: `python -m assumptions FOLDER`, with the image's programs in it.

Exit status: 0 all holds, 1 something does not, which one line on the standard output says.
"""

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from . import imports, of_mlflow
from .places import AbsentError, Assumption, problem, resolve

SHOWN = 5

REFUSED = "refused: "
"""Begins the line of a build's output that says why it ended (`infra/image/build.py`)."""

FEATURES = {
    "auth": "mlflow.server.auth:_canonical_artifact_proxy_path",
    "trace jobs": "mlflow.server.jobs.utils:initialize_periodic_tasks_tracking_store",
    "trace rollups": "mlflow.tracing.trace_rollup_service:run_sql_trace_rollup_scheduler",
}
"""What only some releases have, by the place that shows it. A stack with such a key is refused
where the release has it not (`infra/releases/contents.py`)."""


def main(arguments: list[str]) -> int:
    """Check all; print one line."""
    [folder] = arguments
    # MLflow looks into them when it is imported; it is to believe that a server begins.
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        line, status = check(assumed(Path(folder)))
    sys.stdout.write(f"{line}\n")
    return status


def assumed(folder: Path) -> Iterator[Assumption]:
    """Yield all that is assumed of this release, by programs in a folder."""
    auth, trace_jobs, rollups = (is_there(place) for place in FEATURES.values())
    yield from of_mlflow.SERVER
    yield from of_mlflow.SCHEMA_JOB
    yield from of_mlflow.GARBAGE
    if auth:
        yield from of_mlflow.OF_AUTH
    if trace_jobs:
        yield from of_mlflow.OF_TRACE_JOBS
    if rollups:
        yield from of_mlflow.OF_ROLLUPS
    needed = {"access.py": auth, "users.py": auth}
    for program in ("stores", "schema_job", "garbage", *(["trace_jobs"] if trace_jobs else [])):
        for one in imports.of_folder(folder / program):
            if needed.get(one.by, True):
                yield one


def is_there(place: str) -> bool:
    """Tell whether a release has a place."""
    try:
        resolve(place)
    except AbsentError:
        return False
    return True


def check(assumptions: Iterable[Assumption]) -> tuple[str, int]:
    """Return a line that says how many hold, or which do not; and the exit status."""
    release = version()
    known = list(dict.fromkeys(assumptions))
    wrong = list(dict.fromkeys(filter(None, map(problem, known))))
    if not wrong:
        try:
            _make_application()
        except Exception as error:  # whatever is not as it should be
            wrong.append(f"its server cannot be made: {type(error).__name__}: {error}")
    if not wrong:
        return f"mlflow {release} is as the image's programs need it ({len(known)} checks)", 0
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    said = "; ".join(" ".join(one.split()) for one in wrong[:SHOWN])
    return f"{REFUSED}mlflow {release} does not fit this image: {said}{more}", 1


def _make_application() -> None:
    """Make what a worker serves, with all that is put in the place of MLflow's own."""
    os.environ["MLFLOW_BENCH_REQUESTS_AT_ONCE"] = "8"
    import_module("mlflow_bench_stores.server").create()


def version() -> str:
    """Return the release that is installed."""
    try:
        found: str = resolve("mlflow.version:VERSION")
    except AbsentError as error:
        return f"of no version ({error})"
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
