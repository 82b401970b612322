"""A worker's requests wait for their turn; those for artifacts do not."""

import threading
import time
from typing import Any

import pytest

from infra.images.mlflow.stores.mlflow_bench_stores.turns import in_turn

API = "/api/2.0/mlflow/runs/log-batch"
LIST = "/api/2.0/mlflow-artifacts/artifacts"


class Server:
    """Counts who is in it at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = self.most = 0

    def serve(self, request: dict[str, Any], answer: str) -> str:
        if request.get("fails"):
            raise OSError("broken")
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.02)
        with self.lock:
            self.inside -= 1
        return answer


@pytest.mark.parametrize(("path", "most"), [(API, 2), (LIST, 6)])
def test_so_many_at_once(path: str, most: int) -> None:
    server = Server()
    application = in_turn(server.serve, 2)
    together = threading.Barrier(6)
    answers = []

    def ask() -> None:
        together.wait()
        answers.append(application({"PATH_INFO": path}, "ok"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["ok"] * 6
    assert server.most == most


def test_a_request_that_fails_gives_its_turn_back() -> None:
    server = Server()
    application = in_turn(server.serve, 1)
    for _ in range(3):
        with pytest.raises(OSError, match="broken"):
            application({"PATH_INFO": API, "fails": True}, "")
    assert application({"PATH_INFO": API}, "ok") == "ok"
