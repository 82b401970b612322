"""A worker's requests wait for a slot; those for artifacts do not."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from infra.components.capacity import (
    CONNECTIONS_PER_REQUEST,
    REQUESTS_AT_ONCE,
    THREADS_PER_WORKER,
    capacity,
)
from infra.images.mlflow.stores.mlflow_bench_stores.concurrency import (
    ConcurrencyLimit,
    limit_requests,
    limit_sessions,
)

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


def together(number: int, act: Callable[[], object]) -> None:
    """Do something in so many threads at the same moment."""
    start = threading.Barrier(number)

    def begin() -> None:
        start.wait()
        act()

    threads = [threading.Thread(target=begin) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(("path", "most"), [(API, 2), (LIST, 6)])
def test_so_many_at_once(path: str, most: int) -> None:
    server = Server()
    application = limit_requests(server.serve, ConcurrencyLimit(2))
    answers: list[str] = []
    together(6, lambda: answers.append(application({"PATH_INFO": path}, "ok")))
    assert answers == ["ok"] * 6
    assert server.most == most


def test_a_request_that_fails_releases_its_slot() -> None:
    server = Server()
    application = limit_requests(server.serve, ConcurrencyLimit(1))
    for _ in range(3):
        with pytest.raises(OSError, match="broken"):
            application({"PATH_INFO": API, "fails": True}, "")
    assert application({"PATH_INFO": API}, "ok") == "ok"


class Store:
    """Has sessions as MLflow's stores have them, of a pool that a worker of a stack has."""

    def __init__(self, patience: float = 2) -> None:
        sizes = capacity(replicas=1, workers=1, jobs=False)
        self.pool = QueuePool(
            lambda: cast(Any, sqlite3.connect(":memory:", check_same_thread=False)),
            pool_size=sizes.pool_size,
            max_overflow=sizes.max_overflow,
            timeout=patience,
        )
        self.most = 0

        @contextmanager
        def session(read_only: bool = True) -> Iterator[Any]:
            connection = self.pool.connect()
            self.most = max(self.most, self.pool.checkedout())
            try:
                yield connection
            finally:
                connection.close()

        self.ManagedSessionMaker = session

    def rename_run(self, depth: int = CONNECTIONS_PER_REQUEST) -> None:
        """Hold a connection and open another, as `log_batch` does with the name of a run."""
        with self.ManagedSessionMaker(read_only=False):
            time.sleep(0.005)
            if depth > 1:
                self.rename_run(depth - 1)


def test_the_pools_of_a_stack_never_run_out() -> None:
    class Limited(Store):
        pass

    limit_sessions(Limited, ConcurrencyLimit(REQUESTS_AT_ONCE))
    store = Limited()
    together(THREADS_PER_WORKER, store.rename_run)
    assert store.most <= REQUESTS_AT_ONCE * CONNECTIONS_PER_REQUEST


def test_without_a_limit_they_would() -> None:
    """The cliff: requests that hold all connections wait for one more."""
    store = Store(patience=0.2)
    failed: list[PoolTimeout] = []

    def write() -> None:
        try:
            store.rename_run()
        except PoolTimeout as error:
            failed.append(error)

    together(THREADS_PER_WORKER, write)
    assert failed


def test_a_request_s_sessions_need_no_slot_of_their_own() -> None:
    class Limited(Store):
        pass

    limit = ConcurrencyLimit(1)
    limit_sessions(Limited, limit)
    store = Limited()
    application = limit_requests(lambda _: store.rename_run(), limit)
    together(3, lambda: application({"PATH_INFO": API}))
    assert store.most == CONNECTIONS_PER_REQUEST


def test_the_event_loop_does_not_wait_for_those_that_wait_for_it() -> None:
    """A request gives its answer through the loop while it still has its slot."""
    limit = ConcurrencyLimit(1)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        inside = threading.Event()

        def request() -> None:
            with limit.slot():
                inside.set()
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(5)

        running = asyncio.create_task(asyncio.to_thread(request))
        while not inside.is_set():
            await asyncio.sleep(0.001)
        with limit.slot():
            pass
        await running

    asyncio.run(main())
