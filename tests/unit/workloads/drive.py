"""Runs parts of a run in a process of its own, since Locust patches the standard library.

python drive.py run|load|read URI FOLDER
"""

import sys
from pathlib import Path

from tests.unit.workloads.builders import target
from workloads import settings
from workloads.plan import Profile
from workloads.scenarios import SCENARIOS

PROFILE = Profile(users=2, warm_up_s=4, load_s=8, finish_s=90)


def main(what: str, uri: str, folder: Path) -> None:
    settings.configure(uri)
    from workloads import run
    from workloads.history import load
    from workloads.judge import HISTORY, conclude
    from workloads.report.live import LiveView

    if what == "run":
        scenario = SCENARIOS["training"]
        result = run.run(target(uri, components=()), scenario, "quick", PROFILE, 7, folder)
    else:
        plan = load(folder / HISTORY).plan
        with LiveView(plan) as view:
            run.read_back(plan, folder, view)
        result = conclude(folder)
    print(result.verdict.judgement)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
