"""Ports of this machine that lead to the pods of a stack, through the cluster's API.

A process of its own, which `forward.py` starts and ends. Each connection is a stream of its own to
a pod that is ready at that moment, so a pod that is replaced breaks only its own connections. The
protocol is Kubernetes' port-forward over WebSocket (`v4.channel.k8s.io`): the first byte of a
message is its channel, 0 for data and 1 for errors.

Not by a library: `kubernetes.stream.portforward` takes a thread for each connection and buffers
without a bound; kr8s keeps to one pod until it cannot be reached, also one that is draining.
"""

import asyncio
import contextlib
import fcntl
import functools
import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NotRequired, TextIO, TypedDict

import aiohttp

from infra.kubernetes.api_session import ApiSession, NoAnswerError
from infra.specification.error import SpecError

OPEN_TIMEOUT_SECONDS = 10
"""How long a connection waits for a pod that accepts it."""

POLL_SECONDS = 0.5
GONE_SECONDS = 600
"""This ends when the cluster has not answered, or has had no Service of the stack, for so long."""

LOCK_SECONDS = 5
CHUNK_SIZE = 1 << 18
DATA, ERROR = b"\x00", b"\x01"
PROTOCOL = "v4.channel.k8s.io"


class ForwardedPort(TypedDict):
    """A port of this machine that leads to port `target` of pods of `service`.

    To all of them in turn if `number` is 0, else to the n-th by name. `port` 0 is any free one.
    """

    name: str
    service: str
    target: int
    number: int
    address: str
    port: int


class Plan(TypedDict):
    """What a process does; `pid` and `listening` are its own additions, once it runs."""

    context: str
    namespace: str
    ports: list[ForwardedPort]
    pid: NotRequired[int]
    listening: NotRequired[bool]


class GoneError(Exception):
    """There is nothing to forward to any more; the text is one line that says why."""


class ForwardServer:
    """Listens on this machine and forwards each connection to a ready pod."""

    def __init__(self, plan: Plan, on_listening: Callable[[list[ForwardedPort]], None]) -> None:
        """`on_listening` gets the ports of the plan, each with the number that was opened."""
        self._plan = plan
        self._on_listening = on_listening
        self._ready_pods: dict[str, list[str]] = {}
        """By Service, sorted by name."""
        self._turn = itertools.count()

    async def run(self) -> None:
        """Serve until cancelled; raises `GoneError` when the cluster or the stack is gone."""
        namespace = self._plan["namespace"]
        self._pods_path = f"/api/v1/namespaces/{namespace}/pods"
        self._slices_path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        async with (
            ApiSession(self._plan["context"]) as self._api,
            contextlib.AsyncExitStack() as stack,
        ):
            opened: list[ForwardedPort] = []
            for port in self._plan["ports"]:
                handler = functools.partial(self._forward, port)
                server = await asyncio.start_server(handler, port["address"], port["port"])
                stack.callback(server.close)
                opened.append({**port, "port": server.sockets[0].getsockname()[1]})
            self._on_listening(opened)
            await self._poll()

    async def _poll(self) -> None:
        """Keep the list of ready pods current."""
        last_success = time.monotonic()
        while True:
            try:
                self._ready_pods = await self._read_ready_pods()
                last_success, reason = time.monotonic(), ""
            except NoAnswerError as error:
                reason = str(error)
            if time.monotonic() > last_success + GONE_SECONDS:
                raise GoneError(f"ended after {GONE_SECONDS} s in vain: {reason}")
            await asyncio.sleep(POLL_SECONDS)

    async def _read_ready_pods(self) -> dict[str, list[str]]:
        """Return the ready pods by Service; raises `NoAnswerError`, also when there is none."""
        slices = (await self._api.get(self._slices_path))["items"]
        if not slices:
            self._ready_pods = {}
            raise NoAnswerError(f"namespace {self._plan['namespace']} has no Services")
        pods: dict[str, list[str]] = {}
        for endpoint_slice in slices:
            service = endpoint_slice["metadata"]["labels"].get("kubernetes.io/service-name", "")
            for endpoint in endpoint_slice.get("endpoints") or []:
                if endpoint["conditions"].get("ready") and endpoint.get("targetRef"):
                    pods.setdefault(service, []).append(endpoint["targetRef"]["name"])
        return {service: sorted(names) for service, names in pods.items()}

    async def _forward(
        self, port: ForwardedPort, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            stream = await self._open_stream(port)
            if stream is None:
                return
            async with stream:
                pumps = [
                    asyncio.create_task(_to_pod(reader, stream)),
                    asyncio.create_task(_from_pod(stream, writer)),
                ]
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _open_stream(self, port: ForwardedPort) -> aiohttp.ClientWebSocketResponse | None:
        """Return a stream to a ready pod; None: there was none in time."""
        deadline = time.monotonic() + OPEN_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            pods = self._ready_pods.get(port["service"], [])
            if port["number"]:
                pods = pods[port["number"] - 1 : port["number"]]
            turn = next(self._turn)
            for offset in range(len(pods)):
                pod = pods[(turn + offset) % len(pods)]
                path = f"{self._pods_path}/{pod}/portforward?ports={port['target']}"
                with contextlib.suppress(NoAnswerError):
                    return await self._api.connect(path, PROTOCOL)
            await asyncio.sleep(POLL_SECONDS)
        return None


async def _to_pod(reader: asyncio.StreamReader, stream: aiohttp.ClientWebSocketResponse) -> None:
    while chunk := await reader.read(CHUNK_SIZE):
        await stream.send_bytes(DATA + chunk)


async def _from_pod(stream: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
    opened: set[bytes] = set()
    async for message in stream:
        if message.type is not aiohttp.WSMsgType.BINARY:
            return
        channel, content = message.data[:1], message.data[1:]
        if channel not in opened:
            opened.add(channel)  # Each begins with the number of its port.
            content = content[2:]
        if channel == ERROR and content:
            return
        if channel == DATA and content:
            writer.write(content)
            await writer.drain()


def main(path: Path) -> int:
    """Serve the plan in a file until SIGTERM; a lock on the file shows that this process runs.

    Returns the exit status; the last line on standard error says why it is not 0.
    """
    with path.open("r+") as file:
        lock(file)
        plan: Plan = json.load(file)
        plan["pid"] = os.getpid()
        _write(file, plan)

        def on_listening(ports: list[ForwardedPort]) -> None:
            _write(file, {**plan, "ports": ports, "listening": True})

        server = ForwardServer(plan, on_listening)
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            task = loop.create_task(server.run())
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, task.cancel)
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                return 0
            except (GoneError, SpecError, OSError) as error:
                reason = str(error)
    sys.stderr.write(f"{reason}\n")
    return 1


def lock(file: TextIO) -> None:
    """Lock the file of a plan; `forward.is_alive` holds it for a moment each time that it looks."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _write(file: TextIO, plan: Plan) -> None:
    file.seek(0)
    file.truncate()
    json.dump(plan, file)
    file.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
