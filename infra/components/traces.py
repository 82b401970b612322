"""What becomes of traces as they grow older, and who does it.

MLflow has periodic tasks for it, below its job consumers of 2 GiB, and every server with those runs
them: its locks are files of a server, and the leases in its database have no caller in 3.17. So a
stack has one process of its own for them, `trace-jobs` of the mlflow image, which holds a lock in
the database while it works.
"""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath

ARCHIVAL_FILE = PurePosixPath("/etc/mlflow-bench/trace-archival.json")
"""What MLflow reads its settings of archival from; JSON is YAML, too."""

ARCHIVE_FOLDER = "trace-archive"
"""Folder of the artifact store; those of experiments are numbers."""

ROLLUP_SCHEDULE = "0 2 * * *"
"""MLflow's own, in UTC."""

NEVER = "0 0 31 2 *"
"""A schedule for servers, which read rollups and build none."""

CONNECTIONS = 6
"""Most of the database's connections that the jobs hold; of those kept for such things."""

MEMORY = 400 * 2**20
"""Bytes that the jobs need; measured at 300 MiB."""

READY_FILE = "/tmp/trace-jobs.ready"


@dataclass(frozen=True)
class Traces:
    """What a stack file says of traces; ages as `90m`, `12h` or `30d`."""

    archive_after: str | None = None
    """Age from which on spans are in the artifact store; None: they stay in the database."""
    delete_after: str | None = None
    """Age from which on traces are deleted; None: they are kept."""
    rollups: bool = False
    """Whether figures of whole days are kept ready."""
    rollup_schedule: str = ROLLUP_SCHEDULE

    @property
    def have_jobs(self) -> bool:
        """Whether there is anything to do."""
        return self.archive_after is not None or self.delete_after is not None or self.rollups

    def files(self, destination: str) -> dict[str, str]:
        """Return the files that MLflow reads, by path; artifacts are at the URI `destination`."""
        if self.archive_after is None:
            return {}
        settings = {
            "enabled": True,
            "location": f"{destination}/{ARCHIVE_FOLDER}",
            "retention": self.archive_after,
            # The jobs have a beat of their own.
            "interval_seconds": 1,
        }
        return {str(ARCHIVAL_FILE): json.dumps({"trace_archival": settings}, indent=2) + "\n"}
