"""The real `mlflow server` behind every case, on SQLite and a folder."""

import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port
from workloads.load import priority

MEMORY = Path("/dev/shm")
START_S = 120.0
SETTINGS = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # With MLflow's own 5 and 10, sixteen batches at once wait for each other until they fail.
    "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": "64",
}


@contextmanager
def tracking_server() -> Iterator[str]:
    """Run it; gives its address.

    Its files are in memory where that can be had, and it goes before other work as the generator
    does: neither a disk nor processors that others use are what a case is about.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        port = free_port()
        command = ["mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/db"]
        command += ["--artifacts-destination", f"{folder}/artifacts"]
        command += ["--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
        log = Path(folder) / "server.log"
        with log.open("w") as out:
            server = subprocess.Popen(
                command,
                env=os.environ | SETTINGS,
                stdout=out,
                stderr=out,
                start_new_session=True,
                preexec_fn=priority.raise_priority,
            )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, server, log)
            yield address
        finally:
            os.killpg(server.pid, 15)
            server.wait(30)


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            urllib.request.urlopen(f"{address}/health", timeout=2).close()
        except OSError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        else:
            return
