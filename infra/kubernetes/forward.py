"""Ports of this machine that lead to the pods of a stack, through the cluster's API.

A process of its own, started by the deployment and ended by `destroy`. It opens a stream for
each connection, to a pod that is ready at that moment: so a pod that is replaced takes only its
own connections with it. A port leads to the pods of a Service in turn, or to the n-th of them by
name. The protocol is Kubernetes' port-forward over WebSocket
(`v4.channel.k8s.io`: the first byte of a message is its channel, 0 for data and 1 for errors).
"""

import asyncio
import contextlib
import fcntl
import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pulumi
from pulumi import dynamic

from infra.kubernetes.api_session import ApiSession, NoAnswerError
from infra.kubernetes.own_provider import OwnProvider
from infra.spec import SpecError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".state" / "forward"
LOOPBACK = "127.0.0.1"
START_SECONDS = 20
STOP_SECONDS = 10
PATIENCE_SECONDS = 10
"""How long a connection waits for a pod that takes it."""

LOOK_SECONDS = 0.5
GONE_SECONDS = 600
"""How long the cluster may not answer, refuse, or have nothing of the stack before this ends."""

LOCK_SECONDS = 5
CHUNK = 1 << 18
DATA, ERROR = b"\x00", b"\x01"
PROTOCOL = "v4.channel.k8s.io"


# --- the process


class GoneError(Exception):
    """There is nothing to lead to any more; the text is one line that says why."""


class Forward:
    """Listens on this machine and passes each connection on to a ready pod."""

    def __init__(self, plan: dict[str, Any], listening: Callable[[dict[str, Any]], None]) -> None:
        """`plan` has context, namespace and `ports`: name, address and port (0: any) of each, and
        the `service`, the `number` of the pod (0: any) and the port inside, where it leads.

        `listening` gets the plan with the ports that were opened.
        """
        self._plan = plan
        self._listening = listening
        self._ready: dict[str, list[str]] = {}
        self._turn = itertools.count()

    async def run(self) -> None:
        """Serve until cancelled; raises `GoneError` when the cluster or the stack is gone."""
        namespace = self._plan["namespace"]
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        async with (
            ApiSession(self._plan["context"]) as self._api,
            contextlib.AsyncExitStack() as end,
        ):
            ports = []
            for one in self._plan["ports"]:
                handler = functools.partial(self._pass_on, one)
                server = await asyncio.start_server(handler, one["address"], one["port"])
                end.callback(server.close)
                ports.append({**one, "port": server.sockets[0].getsockname()[1]})
            self._listening({**self._plan, "ports": ports})
            await self._follow()

    async def _follow(self) -> None:
        """Look which pods are ready, for as long as there is something to look at."""
        seen = time.monotonic()
        while True:
            try:
                await self._look()
                seen, why = time.monotonic(), ""
            except NoAnswerError as error:
                why = str(error)
            if time.monotonic() > seen + GONE_SECONDS:
                raise GoneError(f"ended after {GONE_SECONDS} s in vain: {why}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        """See which pods are ready; raises `NoAnswerError`, also when there is no Service."""
        slices = (await self._api.get(self._slices))["items"]
        if not slices:
            self._ready = {}
            raise NoAnswerError(f"namespace {self._plan['namespace']} has no Services")
        found: dict[str, list[str]] = {}
        for one in slices:
            service = one["metadata"]["labels"].get("kubernetes.io/service-name", "")
            for endpoint in one.get("endpoints") or []:
                if endpoint["conditions"].get("ready") and endpoint.get("targetRef"):
                    found.setdefault(service, []).append(endpoint["targetRef"]["name"])
        self._ready = {service: sorted(pods) for service, pods in found.items()}

    async def _pass_on(
        self, port: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            stream = await self._open(port)
            if stream is None:
                return
            async with stream:
                pumps = [
                    asyncio.create_task(_upwards(reader, stream)),
                    asyncio.create_task(_downwards(stream, writer)),
                ]
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _open(self, port: dict[str, Any]) -> aiohttp.ClientWebSocketResponse | None:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            pods = self._ready.get(port["service"], [])
            if port["number"]:
                pods = pods[port["number"] - 1 : port["number"]]
            turn = next(self._turn)
            for pod in [pods[(turn + n) % len(pods)] for n in range(len(pods))]:
                path = f"{self._pods}/{pod}/portforward?ports={port['target']}"
                with contextlib.suppress(NoAnswerError):
                    return await self._api.connect(path, PROTOCOL)
            await asyncio.sleep(LOOK_SECONDS)
        return None


async def _upwards(reader: asyncio.StreamReader, stream: aiohttp.ClientWebSocketResponse) -> None:
    while chunk := await reader.read(CHUNK):
        await stream.send_bytes(DATA + chunk)


async def _downwards(stream: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
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
    """Serve the plan in a file until SIGTERM; a lock on the file shows that this process lives.

    Returns the exit status; the last line on standard error says why it is not 0.
    """
    with path.open("r+") as file:
        _lock(file)
        plan = json.load(file) | {"pid": os.getpid()}
        _write(file, plan)
        forward = Forward(plan, lambda opened: _write(file, opened | {"listening": True}))
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            task = loop.create_task(forward.run())
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, task.cancel)
            try:
                loop.run_until_complete(task)
            except asyncio.CancelledError:
                return 0
            except (GoneError, SpecError, OSError) as error:
                said = str(error)
    sys.stderr.write(f"{said}\n")
    return 1


def _lock(file: Any) -> None:
    """Lock the file of the plan; `alive` holds it for a moment, each time that it looks."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


# --- starting and ending it


def plan_file(stack: str) -> Path:
    """Return where the process of a stack finds what to do."""
    return FOLDER / f"{stack}.json"


def alive(stack: str) -> bool:
    """Tell whether the process of a stack runs."""
    try:
        with plan_file(stack).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def held(stack: str) -> dict[str, int]:
    """Return the ports that the process of a stack holds, by name."""
    if not alive(stack):
        return {}
    try:
        plan = json.loads(plan_file(stack).read_text())
    except ValueError:
        return {}  # It is being written.
    if not plan.get("listening"):
        return {}
    return {one["name"]: one["port"] for one in plan["ports"]}


def start(stack: str, plan: dict[str, Any]) -> dict[str, int]:
    """Start the process of a stack; return its ports by name when they are open.

    Raises `RuntimeError`, with its last words, when it does not.
    """
    stop(stack)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = plan_file(stack)
    path.touch(mode=0o600)
    with path.open("w") as file:
        _write(file, plan)
    log = path.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(path)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    end = time.monotonic() + START_SECONDS
    while not (ports := held(stack)):
        if process.poll() is not None or time.monotonic() > end:
            words = log.read_text(errors="replace").strip().splitlines() or ["no word"]
            stop(stack)
            raise RuntimeError(f"the port-forward of {stack} did not start: {words[-1]}")
        time.sleep(0.05)
    process.returncode = 0  # It outlives this one, and nobody here waits for it.
    return ports


def stop(stack: str) -> None:
    """End the process of a stack, if it runs."""
    path = plan_file(stack)
    end = time.monotonic() + STOP_SECONDS
    while alive(stack):
        number = signal.SIGTERM if time.monotonic() < end else signal.SIGKILL
        with contextlib.suppress(OSError, KeyError, ValueError):
            os.kill(json.loads(path.read_text())["pid"], number)
        time.sleep(0.1)
    path.unlink(missing_ok=True)


def _write(file: Any, plan: dict[str, Any]) -> None:
    file.seek(0)
    file.truncate()
    json.dump(plan, file)
    file.flush()


# --- as a resource


class Forwarder(OwnProvider):
    """Starts and ends the process of a stack."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Start it."""
        return dynamic.CreateResult(id_=props["stack"], outs=_start(props, {}))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Tell whether it has to be started anew, also because it was killed."""
        asked = [key for key in news if key != "ports" and olds.get(key) != news[key]]
        stack = olds["stack"]
        return dynamic.DiffResult(
            changes=bool(asked) or not alive(stack),
            replaces=["stack"] if "stack" in asked else [],
            delete_before_replace=True,
        )

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Start it anew; checks keep their ports."""
        return dynamic.UpdateResult(outs=_start(news, olds.get("ports") or {}))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """End it."""
        stop(props["stack"])
        plan_file(props["stack"]).with_suffix(".log").unlink(missing_ok=True)


def _start(props: dict[str, Any], known: dict[str, int]) -> dict[str, Any]:
    stack = props["stack"]
    stop(stack)
    # Numbers come back from the engine as floats.
    listen: list[dict[str, Any]] = [
        {
            "name": one["name"],
            "service": one["service"],
            "number": int(one["number"]),
            "target": int(one["target"]),
            "address": one["address"],
            "port": int(one["port"] or known.get(one["name"]) or 0),
        }
        for one in props["wanted"]
    ]
    plan = {"context": props["context"], "namespace": props["namespace"], "ports": listen}
    try:
        ports = start(stack, plan)
    except RuntimeError:
        if not known:
            raise
        return _start(props, {})  # Another program may hold a port of before.
    return {**props, "ports": ports}


def wanted(
    name: str,
    service: str,
    target: int,
    *,
    number: int = 0,
    address: str = LOOPBACK,
    port: int = 0,
) -> dict[str, Any]:
    """Describe a port: what leads to `target` of the pods of `service`, or of the n-th of them.

    `port` 0 is any that is free, the same one as long as it can be.
    """
    return {
        "name": name,
        "service": service,
        "target": target,
        "number": number,
        "address": address,
        "port": port,
    }


class PortForward(dynamic.Resource):
    """This machine's ports that lead to the pods of a stack."""

    ports: pulumi.Output[dict[str, int]]
    """Port by name."""

    def __init__(
        self, name: str, props: dict[str, pulumi.Input[Any]], opts: pulumi.ResourceOptions
    ) -> None:
        """`props` has stack, context, namespace and `wanted`, the descriptions of its ports."""
        super().__init__(Forwarder(), name, {**props, "ports": None}, opts)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
