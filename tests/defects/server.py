"""A real tracking server behind a proxy that can be told to do wrong: the base of every case.

A case is one file with one class, `Case`, below `defective` or `healthy`. It overrides `answer`,
what a call is answered, or `send`, how the bytes go out, or `beside`, what goes on meanwhile.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDict
from yarl import URL

from workloads.history import wire
from workloads.load import priority

OF_ONE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "content-length", "host")
LARGEST = 64 * 2**20
IDLE_S = 2.0
"""Connections to the server are dropped before it drops them, after 5 s: else a call is lost."""


@dataclass(frozen=True)
class Call:
    """What the client asks."""

    method: str
    path: str
    """With the query, as it was sent."""
    headers: CIMultiDict[str]
    body: bytes

    @property
    def name(self) -> str:
        """As the report names it: `POST runs/log-batch`, `PUT artifact`."""
        return wire.name(self.method, wire.route(self.path))

    @property
    def json(self) -> Any:
        """The body; {} if there is none."""
        return json.loads(self.body or b"{}")

    @property
    def query(self) -> dict[str, str]:
        """The query's last values by name."""
        return {name: found[-1] for name, found in parse_qs(urlsplit(self.path).query).items()}

    @property
    def file(self) -> str:
        """Path of an artifact, as it was sent."""
        return urlsplit(self.path).path

    def having(self, **fields: Any) -> "Call":
        """The same with other fields in its JSON body."""
        return replace(self, body=json.dumps(self.json | fields).encode())


@dataclass(frozen=True)
class Answer:
    """What the client gets."""

    status: int
    body: bytes
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    def saying(self, said: Any) -> "Answer":
        """The same with another JSON body."""
        return replace(self, body=json.dumps(said).encode())


def answer(said: Any, status: int = 200) -> Answer:
    """An answer of the server's own, in JSON."""
    kind = CIMultiDict({"Content-Type": "application/json"})
    return Answer(status, json.dumps(said).encode(), kind)


DONE = answer({})
"""What most writes are answered."""


def error(status: int, code: str = "INTERNAL_ERROR") -> Answer:
    """A refusal, as MLflow's own look."""
    return answer({"error_code": code, "message": "made up by the test"}, status)


class Server:
    """Passes every call on, as a proxy does that is in order."""

    run: ClassVar[str] = "metrics"
    """Scenario, and other arguments of `python -m workloads run`."""

    says: ClassVar[str]
    """Regular expression for what the verdict's reasons have to say."""

    environment: ClassVar[dict[str, str]] = {}
    """Environment variables of the client."""

    prefix: ClassVar[str] = ""
    """Path below which the server is."""

    def __init__(self, upstream: str, session: ClientSession) -> None:
        self.upstream = upstream
        self.session = session
        self._counts: Counter[str] = Counter()
        self.prepare()

    def prepare(self) -> None:
        """Make what the case has to remember."""

    async def answer(self, call: Call) -> Answer:
        """Answer a call."""
        return await self.ask(call)

    async def send(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        """Send an answer."""
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async def beside(self) -> None:
        """Do what goes on beside the load; cancelled at its end."""

    async def ask(self, call: Call) -> Answer:
        """Ask the real server."""
        async with self.session.request(
            call.method,
            URL(self.upstream + call.path, encoded=True),
            data=call.body or None,
            headers=_passed_on(call.headers),
            allow_redirects=False,
        ) as found:
            return Answer(found.status, await found.read(), _passed_on(found.headers))

    def every(self, number: int, what: str = "") -> bool:
        """Whether this is the last of so many; each `what` is counted by itself."""
        self._counts[what] += 1
        return self._counts[what] % number == 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take a request of the client."""
        path = request.raw_path.removeprefix(self.prefix)
        call = Call(request.method, path, CIMultiDict(request.headers), await request.read())
        return await self.send(request, await self.answer(call))


@contextmanager
def serving(case: type[Server], upstream: str) -> Iterator[str]:
    """Serve the case from a thread of its own; gives the address."""
    loop = asyncio.new_event_loop()
    over = asyncio.Event()
    ready: list[str] = []
    heard = threading.Event()

    def begun(address: str) -> None:
        ready.append(address)
        heard.set()

    thread = threading.Thread(
        target=lambda: loop.run_until_complete(_serve(case, upstream, begun, over))
    )
    thread.start()
    try:
        assert heard.wait(30)
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


async def _serve(case: type[Server], upstream: str, begun: Any, over: asyncio.Event) -> None:
    priority.raise_priority()  # this thread, as the server behind it
    connector = TCPConnector(limit=0, keepalive_timeout=IDLE_S)
    timeout = ClientTimeout(total=120)
    async with ClientSession(
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=DummyCookieJar(),
    ) as session:
        server = case(upstream, session)
        app = web.Application(client_max_size=LARGEST)
        app.router.add_route("*", "/{path:.*}", server.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, auto_decompress=False)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        beside = asyncio.create_task(server.beside())
        begun(f"http://127.0.0.1:{runner.addresses[0][1]}{case.prefix}")
        await over.wait()
        beside.cancel()
        with suppress(asyncio.CancelledError):
            await beside
        await runner.cleanup()


def _passed_on(headers: Any) -> CIMultiDict[str]:
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in OF_ONE_CONNECTION)
