"""An interrupted load heals what it broke before it is ended."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from scripts.shared import project

HEALING = """
import multiprocessing, signal, sys, time
def user():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    open(sys.argv[1] + ".user", "w").write(str(multiprocessing.current_process().pid))
    time.sleep(60)
if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=user)
    child.start()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(0.5)  # as long as it takes to heal
        open(sys.argv[1], "w").write("healed")
        import os
        os._exit(130)
"""


def test_an_interrupted_load_heals_before_it_is_ended_with_all_its_processes(
    tmp_path: Path,
) -> None:
    healed, user = tmp_path / "healed", tmp_path / "healed.user"
    (tmp_path / "load.py").write_text(HEALING)
    script = (
        "import sys; from scripts.shared import ui; ui.run('local', 'load', "
        f"[sys.executable, '{tmp_path}/load.py', '{healed}'], log=None, grace_s=30.0)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=project.ROOT) as bench:
        deadline = time.monotonic() + 20
        while not (user.exists() and user.read_text()) and time.monotonic() < deadline:
            time.sleep(0.02)
        bench.send_signal(signal.SIGINT)
        bench.wait(25)
    assert healed.read_text() == "healed"
    command = Path(f"/proc/{user.read_text()}/stat")
    assert not command.exists() or ") Z " in command.read_text()
