"""The port-forward of a stack on Kubernetes, against an API server of the test's own."""

import asyncio
import fcntl
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from kubernetes.config import kube_config

from infra.kubernetes import api_session, forward, forward_process
from infra.kubernetes.access import configuration
from infra.kubernetes.api_session import ApiSession, NoAnswerError
from infra.kubernetes.forward import Forwarder, forwarded_port
from infra.kubernetes.forward_process import ForwardedPort, ForwardServer, GoneError, Plan
from infra.specification.error import SpecError
from tests.images.sandbox import certificate

NAMESPACE = "mine"
NAME = "api.cluster.test"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of a server that is known by name only, with its key beside it."""
    return certificate(tmp_path_factory.mktemp("tls"), f"DNS:{NAME}")


class Api:
    """What a port-forward asks an API server for; its pod answers in capitals."""

    def __init__(self, tls: Path) -> None:
        self.accepted: set[str] = set()
        self.refused = 0
        self.services = True
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(tls, tls.with_suffix(".key"))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve, and yield the port."""
        app = web.Application()
        pod = f"/api/v1/namespaces/{NAMESPACE}/pods/pod-1/portforward"
        app.router.add_get(SLICES, self._authenticated(self._slices))
        app.router.add_get(pod, self._authenticated(self._port_forward))
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.context)
        await site.start()
        try:
            yield runner.addresses[0][1]
        finally:
            await runner.cleanup()

    def _authenticated(self, handler: Any) -> Any:
        async def handle(request: web.Request) -> Any:
            if self.accepted and request.headers.get("Authorization") not in self.accepted:
                self.refused += 1
                raise web.HTTPUnauthorized
            return await handler(request)

        return handle

    async def _slices(self, _: web.Request) -> web.Response:
        endpoint = {"conditions": {"ready": True}, "targetRef": {"name": "pod-1"}}
        labels = {"kubernetes.io/service-name": "mlflow"}
        endpoint_slice = {"metadata": {"labels": labels}, "endpoints": [endpoint]}
        return web.json_response({"items": [endpoint_slice] if self.services else []})

    async def _port_forward(self, request: web.Request) -> web.WebSocketResponse:
        stream = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
        await stream.prepare(request)
        port = int(request.query["ports"]).to_bytes(2, "little")
        for channel in (b"\x00", b"\x01"):
            await stream.send_bytes(channel + port)
        async for message in stream:
            await stream.send_bytes(message.data[:1] + message.data[1:].upper())
        return stream


@pytest.fixture
def api(tls: Path) -> Api:
    return Api(tls)


@pytest.fixture
def kubeconfig(
    tls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Writes a kubeconfig of one context, `here`, for a cluster and a user."""
    file = tmp_path / "kubeconfig"
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(file))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    def write(cluster: dict[str, Any], user: dict[str, Any]) -> None:
        cluster = {"certificate-authority": str(tls), "tls-server-name": NAME} | cluster
        content = {
            "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
            "clusters": [{"name": "one", "cluster": cluster}],
            "users": [{"name": "me", "user": user}],
        }
        file.write_text(yaml.safe_dump(content))

    return write


def by_plugin(folder: Path) -> dict[str, Any]:
    """A user by a plugin, as EKS and GKE have it: it gives what is in the file `token`."""
    plugin = folder / "plugin"
    plugin.write_text(
        f"#!/bin/sh\necho asked >> {folder}/asked\n"
        f"[ -s {folder}/token ] || {{ echo your session has ended >&2; exit 1; }}\n"
        'printf \'{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",'
        f'"status": {{"token": "%s"}}}}\' "$(cat {folder}/token)"\n'
    )
    plugin.chmod(0o755)
    (folder / "asked").touch()
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}}


def by_file(folder: Path) -> dict[str, Any]:
    return {"tokenFile": str(folder / "token")}


@asynccontextmanager
async def forwarding() -> AsyncIterator[int]:
    """A port that leads to the pod, for as long as this lasts."""
    opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    plan = Plan(context="here", namespace=NAMESPACE, ports=[forwarded_port("main", "mlflow", 8080)])

    def on_listening(ports: list[ForwardedPort]) -> None:
        opened.set_result(ports[0]["port"])

    task = asyncio.create_task(ForwardServer(plan, on_listening).run())
    try:
        yield await asyncio.wait_for(opened, 10)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Client:
    """A connection to the port."""

    @classmethod
    async def to(cls, port: int) -> "Client":
        client = cls()
        client.reader, client.writer = await asyncio.open_connection("127.0.0.1", port)
        return client

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, word: bytes) -> bytes:
        self.writer.write(word)
        return await asyncio.wait_for(self.reader.readexactly(len(word)), 10)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 30))


@pytest.mark.parametrize("user", [by_plugin, by_file])
def test_a_token_that_has_expired_is_asked_for_again(
    user: Callable[[Path], dict[str, Any]], api: Api, kubeconfig: Any, tmp_path: Path
) -> None:
    async def test() -> None:
        async with api.serving() as port:
            (tmp_path / "token").write_text("one")
            kubeconfig({"server": f"https://127.0.0.1:{port}"}, user(tmp_path))
            api.accepted = {"Bearer one"}
            async with forwarding() as forwarded:
                before = await Client.to(forwarded)
                assert await before.says(b"first") == b"FIRST"
                assert api.refused == 0
                (tmp_path / "token").write_text("two")
                api.accepted = {"Bearer two"}
                after = await Client.to(forwarded)
                assert await after.says(b"second") == b"SECOND"
                # What was open goes on.
                assert await before.says(b"third") == b"THIRD"
                for client in (before, after):
                    await client.close()

    run(test())


def test_a_plugin_that_fails_is_asked_now_and_then(
    api: Api, kubeconfig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "asked"

    async def test() -> None:
        async with api.serving() as port:
            (tmp_path / "token").write_text("one")
            kubeconfig({"server": f"https://127.0.0.1:{port}"}, by_plugin(tmp_path))
            api.accepted = {"Bearer one"}
            async with ApiSession("here") as session:
                assert (await session.get(SLICES))["items"]
                (tmp_path / "token").write_text("")
                api.accepted = {"Bearer two"}
                with pytest.raises(NoAnswerError, match="gives no credentials any more"):
                    await session.get(SLICES)
                for _ in range(5):
                    with pytest.raises(NoAnswerError, match="refuses the kubeconfig's"):
                        await session.get(SLICES)
                assert calls.read_text().count("asked") == 2
                # A person has logged in again.
                (tmp_path / "token").write_text("two")
                monkeypatch.setattr(api_session, "RENEW_SECONDS", 0)
                assert (await session.get(SLICES))["items"]

    run(test())


def test_many_that_are_refused_at_once_ask_once(api: Api, kubeconfig: Any, tmp_path: Path) -> None:
    async def test() -> None:
        async with api.serving() as port:
            (tmp_path / "token").write_text("one")
            kubeconfig({"server": f"https://127.0.0.1:{port}"}, by_plugin(tmp_path))
            api.accepted = {"Bearer two"}
            async with ApiSession("here") as session:
                (tmp_path / "token").write_text("two")
                await asyncio.gather(*(session.get(SLICES) for _ in range(20)))
            assert api.refused == 20
            assert (tmp_path / "asked").read_text().count("asked") == 2

    run(test())


def test_the_server_is_known_by_the_name_that_the_kubeconfig_gives(
    api: Api, kubeconfig: Any
) -> None:
    async def test() -> None:
        async with api.serving() as port:
            server = {"server": f"https://127.0.0.1:{port}"}
            kubeconfig(server, {})
            async with ApiSession("here") as session:
                assert (await session.get(SLICES))["items"]
            kubeconfig(server | {"tls-server-name": "other.test"}, {})
            async with ApiSession("here") as session:
                with pytest.raises(NoAnswerError, match=r"not valid for 'other\.test'"):
                    await session.get(SLICES)

    run(test())


@asynccontextmanager
async def proxy(target: int) -> AsyncIterator[tuple[int, list[str]]]:
    """The port of an HTTP proxy that leads every client to `target`, and its request lines."""
    requests: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(1 << 16):
                writer.write(chunk)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        requests.append(head.split(b"\r\n")[0].decode())
        theirs, ours = await asyncio.open_connection("127.0.0.1", target)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        for direction in (pump(reader, ours), pump(theirs, writer)):
            tasks.add(asyncio.create_task(direction))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], requests
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_the_way_leads_through_the_proxy_of_the_kubeconfig(api: Api, kubeconfig: Any) -> None:
    async def test() -> None:
        async with api.serving() as port, proxy(port) as (proxy_port, requests):
            # No name of this machine's resolver: only the proxy knows it.
            cluster = {
                "server": "https://private.invalid:443",
                "proxy-url": f"http://127.0.0.1:{proxy_port}",
            }
            kubeconfig(cluster, {"token": "one"})
            api.accepted = {"Bearer one"}
            async with forwarding() as forwarded:
                client = await Client.to(forwarded)
                assert await client.says(b"word") == b"WORD"
                await client.close()
            assert set(requests) == {"CONNECT private.invalid:443 HTTP/1.1"}

    run(test())


def test_a_proxy_that_is_not_served_is_one_line(kubeconfig: Any) -> None:
    kubeconfig({"server": "https://127.0.0.1:1", "proxy-url": "socks5://127.0.0.1:1080"}, {})
    with pytest.raises(SpecError) as caught:
        configuration("here")
    assert str(caught.value).startswith(
        "kubernetes.context: 'here': its proxy socks5://127.0.0.1:1080 speaks SOCKS"
    )
    assert "\n" not in str(caught.value)


def test_a_client_s_certificate_is_shown_to_a_server_that_is_not_checked(
    api: Api, kubeconfig: Any, tls: Path
) -> None:
    api.context.verify_mode = ssl.CERT_REQUIRED
    api.context.load_verify_locations(tls)

    async def test() -> None:
        async with api.serving() as port:
            cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
            user = {"client-certificate": str(tls), "client-key": str(tls.with_suffix(".key"))}
            kubeconfig(cluster | {"tls-server-name": "other.test"}, user)
            async with ApiSession("here") as session:
                assert (await session.get(SLICES))["items"]

    run(test())


def no_services(api: Api) -> None:
    api.services = False


def no_rights(api: Api) -> None:
    api.accepted = {"Bearer two"}


@pytest.mark.parametrize(
    ("gone", "why"),
    [
        (no_services, "namespace mine has no Services"),
        (no_rights, "the API refuses"),
    ],
)
def test_it_ends_when_the_stack_is_gone(
    gone: Callable[[Api], None],
    why: str,
    api: Api,
    kubeconfig: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(forward_process, "GONE_SECONDS", 0.5)
    monkeypatch.setattr(forward_process, "POLL_SECONDS", 0.1)

    async def test() -> None:
        async with api.serving() as port:
            kubeconfig({"server": f"https://127.0.0.1:{port}"}, {"token": "one"})
            api.accepted = {"Bearer one"}
            plan = Plan(context="here", namespace=NAMESPACE, ports=[])
            running = asyncio.create_task(ForwardServer(plan, lambda _: None).run())
            await asyncio.sleep(1)
            assert not running.done()
            gone(api)
            with pytest.raises(GoneError, match=f"ended after 0.5 s in vain: {why}"):
                await running

    run(test())


def test_it_says_why_it_ended(
    kubeconfig: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(forward_process, "GONE_SECONDS", 0)
    kubeconfig({"server": "https://127.0.0.1:1"}, {})
    plan = tmp_path / "plan.json"
    for context, why in (("here", "the API does not answer"), ("other", "kubernetes.context")):
        plan.write_text(json.dumps({"context": context, "namespace": NAMESPACE, "ports": []}))
        assert forward_process.main(plan) == 1
        [line] = capsys.readouterr().err.splitlines()
        assert why in line


def test_a_look_at_its_lock_does_not_end_it(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.touch()
    with plan.open() as looking, plan.open("r+") as file:
        fcntl.flock(looking, fcntl.LOCK_SH)
        timer = threading.Timer(0.3, fcntl.flock, (looking, fcntl.LOCK_UN))
        timer.start()
        begin = time.monotonic()
        forward_process.lock(file)
        assert time.monotonic() - begin > 0.2
        timer.join()
        with plan.open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_second_one_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward_process, "LOCK_SECONDS", 0.1)
    plan = tmp_path / "plan.json"
    plan.touch()
    with plan.open("r+") as first, plan.open("r+") as second:
        forward_process.lock(first)
        with pytest.raises(BlockingIOError):
            forward_process.lock(second)


def test_only_another_plan_starts_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [forwarded_port("main", "mlflow", 8080)]
    plan = {"stack": "k8s", "context": "here", "namespace": NAMESPACE, "wanted": wanted}
    state = plan | {"__provider": "its module of before", "ports": {"main": 5000}}
    monkeypatch.setattr(forward, "is_alive", lambda _: True)
    assert not Forwarder().diff("k8s", state, plan | {"__provider": "its module"}).changes
    assert Forwarder().diff("k8s", state, plan | {"namespace": "another"}).changes
    monkeypatch.setattr(forward, "is_alive", lambda _: False)
    assert Forwarder().diff("k8s", state, plan).changes
