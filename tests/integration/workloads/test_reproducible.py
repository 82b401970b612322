"""A judgement is the same in every process."""

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.workloads.verdict.test_stages import climb, observe

ROOT = Path(__file__).parents[3]


def test_another_process_comes_to_the_same_digits(tmp_path: Path) -> None:
    """Sums must not depend on the order of a set, which is another in each process."""
    folder = climb(tmp_path)
    observe(folder, 3, cpu={f"mlflow-{number}": 1 / number for number in range(2, 9)})
    path = folder.save()
    program = (
        "import sys; from pathlib import Path; from workloads.verdict.judge import judge;"
        "print(judge(Path(sys.argv[1]))[0].model_dump_json())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program, str(path)],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(found) == 1
