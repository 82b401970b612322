"""Spans are answered by threads, within the limit; the event loop stays free."""

import asyncio
import gzip
import json
import threading
from typing import Any

import pytest

from infra.images.mlflow.stores.mlflow_bench_stores.bodies import Bodies
from infra.images.mlflow.stores.mlflow_bench_stores.concurrency import ConcurrencyLimit
from infra.images.mlflow.stores.mlflow_bench_stores.ingestion import (
    LARGE_BYTES,
    PATH,
    Ingestion,
    bounded,
)
from infra.images.mlflow.stores.mlflow_bench_stores.run_limit import RunLimit

LIMIT = 10 * LARGE_BYTES


class Api:
    """An application that tells what it got, and how many were in it at once."""

    def __init__(self, at_once: int = 1) -> None:
        self.seen: list[tuple[str, int, dict[bytes, bytes]]] = []
        self.threads: set[int] = set()
        self.lock = threading.Lock()
        self.inside = self.most = 0
        self.together = threading.Barrier(at_once)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.threads.add(threading.get_ident())
            self.seen.append((scope["path"], len(body), dict(scope["headers"])))
        if self.together.parties > 1:
            self.together.wait(30)
        with self.lock:
            self.inside -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


def application(api: Api, slots: int = 4) -> Any:
    ingestion = Ingestion(api, ConcurrencyLimit(slots))
    return bounded(api, Bodies(LIMIT, 4 * LIMIT), ingestion, RunLimit())


async def post(
    serve: Any, body: bytes, path: str = PATH, **headers: str
) -> tuple[int, bytes, dict[bytes, bytes]]:
    """Return status, content and headers of an answer."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await serve(scope, receive, send)
    return sent[0]["status"], sent[1]["body"], dict(sent[0]["headers"])


def test_spans_are_answered_by_another_thread_and_others_are_not() -> None:
    api = Api()
    serve = application(api)
    assert asyncio.run(post(serve, b"spans"))[:2] == (200, b"ok")
    assert threading.get_ident() not in api.threads
    asyncio.run(post(serve, b"{}", "/api/2.0/mlflow/runs/create"))
    assert threading.get_ident() in api.threads


def test_spans_have_half_of_the_slots() -> None:
    api = Api(at_once=2)
    serve = application(api, slots=4)

    async def several() -> None:
        await asyncio.gather(*(post(serve, b"spans") for _ in range(6)))

    asyncio.run(several())
    assert (api.most, len(api.seen)) == (2, 6)


def test_large_ones_come_one_after_another() -> None:
    api = Api()
    serve = application(api)

    async def several() -> None:
        await asyncio.gather(*(post(serve, bytes(LARGE_BYTES + 1)) for _ in range(4)))

    asyncio.run(several())
    assert (api.most, len(api.seen)) == (1, 4)


def test_the_application_gets_spans_decompressed() -> None:
    api = Api()
    body = gzip.compress(bytes(1000))
    assert asyncio.run(post(application(api), body, content_encoding="GZIP", accept="x"))[0] == 200
    assert api.seen == [(PATH, 1000, {b"accept": b"x"})]


def test_an_encoding_that_nobody_knows_is_left_to_the_application() -> None:
    api = Api()
    asyncio.run(post(application(api), b"spans", content_encoding="br"))
    assert api.seen == [(PATH, 5, {b"content-encoding": b"br"})]


@pytest.mark.parametrize("path", [PATH, "/api/2.0/mlflow/runs/log-batch"])
def test_a_body_that_is_too_large_is_413(path: str) -> None:
    api = Api()
    status, content, _ = asyncio.run(post(application(api), bytes(LIMIT + 1), path))
    assert (status, api.seen) == (413, [])
    assert json.loads(content)["message"] == f"the body has more than {LIMIT} bytes"


def test_a_bomb_is_413_and_rubbish_400() -> None:
    api = Api()
    serve = application(api)
    bomb = gzip.compress(bytes(LIMIT + 1))
    assert asyncio.run(post(serve, bomb, content_encoding="gzip"))[0] == 413
    assert asyncio.run(post(serve, b"rubbish", content_encoding="gzip"))[0] == 400
    assert api.seen == []


def test_where_others_hold_too_much_the_client_is_to_ask_again() -> None:
    api = Api()
    serve = bounded(api, Bodies(10, 5), Ingestion(api, ConcurrencyLimit(2)), RunLimit())
    # Of spans in a way that every exporter takes for an invitation, else in one that mlflow does.
    for path, expected in ((PATH, 503), ("/api/2.0/mlflow/runs/create", 429)):
        status, content, headers = asyncio.run(post(serve, b"123456", path))
        assert (status, headers[b"retry-after"]) == (expected, b"1")
        assert json.loads(content)["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert api.seen == []


def test_what_a_request_has_done_by_another_thread_is_in_its_slot() -> None:
    limit = ConcurrencyLimit(1)

    async def linked(scope: Any, receive: Any, send: Any) -> None:
        def link() -> None:
            with limit.slot():
                pass

        await asyncio.wait_for(asyncio.to_thread(link), 30)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    serve = bounded(linked, Bodies(), Ingestion(linked, limit), RunLimit())
    assert asyncio.run(post(serve, b"spans"))[0] == 200
