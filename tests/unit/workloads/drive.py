"""Reads a run back again, in a process of its own: Locust patches the standard library.

python -m tests.unit.workloads.drive URI FOLDER
"""

import sys
from pathlib import Path

from workloads import settings


def main(uri: str, folder: Path) -> int:
    settings.configure(uri)
    from workloads import run
    from workloads.judge import HISTORY, conclude
    from workloads.record import load
    from workloads.report.live import LiveView

    plan = load(folder / HISTORY).plan
    with LiveView(plan) as view:
        run.read_back(plan, folder, view)
    return conclude(folder).verdict.judgement.exit_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
