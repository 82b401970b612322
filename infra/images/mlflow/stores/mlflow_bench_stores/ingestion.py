"""Spans by OpenTelemetry: decompressed and parsed in threads, as other requests are answered.

MLflow does all but the writing on the event loop, where every other request of the worker waits
until a large trace is parsed. Here a thread with an event loop of its own runs MLflow's whole
answer. Spans take at most half of the slots (`concurrency`), so that others always find one; and
large bodies are worked on one after another, as what is made of one takes many times its size.
"""

import asyncio
import json
from typing import TYPE_CHECKING

from anyio import CapacityLimiter, to_thread

from .bodies import WINDOWS, Bodies, Body, ClientGoneError, RefusedError, decompress
from .concurrency import ConcurrencyLimit
from .run_limit import RunLimit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH = "/v1/traces"

LARGE_BYTES = 2 * 2**20
"""Bytes of a body, decompressed, above which a worker takes one at a time."""

ENCODING = b"content-encoding"


class Ingestion:
    """Answers at `PATH` as `application` does, in threads."""

    def __init__(self, application: "ASGIApp", limit: ConcurrencyLimit) -> None:
        self._application = application
        self._limit = limit
        self._small = CapacityLimiter(max(limit.most // 2, 1))
        self._large = CapacityLimiter(1)

    async def answer(self, scope: "Scope", body: Body, send: "Send") -> None:
        """Answer a request with a body; raise `RefusedError` where it holds too much."""
        encoding = dict(scope["headers"]).get(ENCODING, b"").decode("latin-1").lower()
        if encoding in WINDOWS:
            await self._decompress(body, encoding)
            scope["headers"] = [one for one in scope["headers"] if one[0] != ENCODING]
        limiter = self._large if len(body.content) > LARGE_BYTES else self._small
        messages = await to_thread.run_sync(self._messages, scope, body, limiter=limiter)
        for message in messages:
            await send(message)

    async def _decompress(self, body: Body, encoding: str) -> None:
        content = await to_thread.run_sync(
            decompress, body.content, encoding, body.most, limiter=self._small
        )
        body.replace(content)

    def _messages(self, scope: "Scope", body: Body) -> "list[Message]":
        """Return the answer's messages; runs in a thread."""
        sent: list[Message] = []

        async def send(message: "Message") -> None:
            sent.append(message)

        async def answer() -> None:
            # Within the loop, as an event of one loop is of no use to another.
            await self._application(scope, once(body.content, _never), send)

        with self._limit.slot():
            asyncio.run(answer())
        return sent


def bounded(
    application: "ASGIApp", bodies: Bodies, ingestion: Ingestion, runs: RunLimit
) -> "ASGIApp":
    """Return `application` with bodies that fit into `bodies`, and spans that go to `ingestion`.

    Writes to one run wait for each other in `runs`, without a thread.
    """

    async def answer(scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await application(scope, receive, send)
            return
        try:
            async with bodies.read(receive) as body:
                if scope["path"] == PATH:
                    await ingestion.answer(scope, body, send)
                else:
                    async with runs.turn(scope["path"], body.content):
                        await application(scope, once(body.content, receive), send)
        except RefusedError as refused:
            await _refuse(refused, send, spans=scope["path"] == PATH)
        except ClientGoneError:
            return

    return answer


def once(content: bytes, after: "Receive") -> "Receive":
    """Return what receives a body that is there already, and then what `after` does."""
    left = [content]

    async def receive() -> "Message":
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await after()

    return receive


async def _never() -> "Message":
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def _refuse(refused: RefusedError, send: "Send", *, spans: bool) -> None:
    """Answer as MLflow does, so that its client shows why.

    What there was no room for was not worked on: that is 429, as mlflow 3.18 does not send a
    create again at 503. Older exporters of OpenTelemetry give up at 429: for spans it is 503.
    """
    full = refused.status == 503
    code = "TEMPORARILY_UNAVAILABLE" if full else "INVALID_PARAMETER_VALUE"
    content = json.dumps({"error_code": code, "message": str(refused)}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
        *([(b"retry-after", b"1")] if full else []),
    ]
    status = 429 if full and not spans else refused.status
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
