"""Proxies of the shell: for what is elsewhere, and never for loopback."""

import http.server
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent import futures

import grpc  # type: ignore[import-untyped]
import pytest

from infra import loopback
from scripts.commands.setup import environment
from scripts.offline.test_cluster.layout import NODE
from scripts.shared import project
from tests.serving import Handler, running


@pytest.mark.parametrize(
    ("environ", "upper", "lower"),
    [
        ({}, "localhost,127.0.0.1,::1", "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "a, b,,a"}, "a,b,localhost,127.0.0.1,::1", "a,b,localhost,127.0.0.1,::1"),
        ({"no_proxy": "127.0.0.1"}, "127.0.0.1,localhost,::1", "127.0.0.1,localhost,::1"),
        (
            {"NO_PROXY": "a", "no_proxy": "b"},
            "a,localhost,127.0.0.1,::1",
            "b,localhost,127.0.0.1,::1",
        ),
        ({"NO_PROXY": "*"}, "*", "*"),
    ],
)
def test_loopback_is_added_to_the_persons_own(
    environ: dict[str, str], upper: str, lower: str
) -> None:
    found = loopback.spared(environ)
    assert found == {"NO_PROXY": upper, "no_proxy": lower}
    assert loopback.spared(found) == found


def test_activation_spares_the_test_cluster_too() -> None:
    found = environment.variables({"no_proxy": "intranet"}, project.CACHE, True, "")
    assert found["no_proxy"] == found["NO_PROXY"] == f"intranet,localhost,127.0.0.1,::1,{NODE}"


class Seen(Handler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.answer(404 if self.path.endswith("/version") else 200)


class Server(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Seen)
        self.asked: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_address[1]}"


def serving() -> Iterator[Server]:
    server = Server()
    with running(server):
        yield server


proxy = pytest.fixture(serving, name="proxy")
tracking = pytest.fixture(serving, name="tracking")


def behind(proxy: Server, **more: str) -> dict[str, str]:
    clean = {n: v for n, v in os.environ.items() if not n.lower().endswith("_proxy")}
    return clean | {"HTTP_PROXY": proxy.address, "http_proxy": proxy.address} | more


RUN = """
import sys
from workloads.commands.application import main
sys.exit(sum(main(["run", "--url", url, "--scenario", "metrics"]) for url in sys.argv[1:]))
"""


def test_a_load_asks_loopback_itself_and_others_through_the_proxy(
    proxy: Server, tracking: Server
) -> None:
    argv = [sys.executable, "-c", RUN, tracking.address, "http://mlflow.invalid"]
    done = subprocess.run(argv, cwd=project.ROOT, env=behind(proxy), capture_output=True, text=True)
    assert done.returncode == 2 + 2, done.stderr  # neither is a tracking server
    assert tracking.asked
    assert proxy.asked
    assert all(path.startswith("http://mlflow.invalid/") for path in proxy.asked)


ASK = """
import sys, urllib.request, requests
for address in sys.argv[1:]:
    requests.get(address, timeout=9)
    urllib.request.urlopen(address, timeout=9).close()
"""


def test_the_libraries_in_use_follow_the_variables(proxy: Server, tracking: Server) -> None:
    for spared in ({}, loopback.spared({})):
        asked = [tracking.address, tracking.address.replace("127.0.0.1", "localhost")]
        argv = [sys.executable, "-c", ASK, *asked]
        subprocess.run(argv, env=behind(proxy, **spared), check=True, timeout=60)
        assert (len(proxy.asked), len(tracking.asked)) == (4, 0 if not spared else 4)


CONNECT = """
import sys, grpc
grpc.channel_ready_future(grpc.insecure_channel(sys.argv[1])).result(timeout=float(sys.argv[2]))
"""


def test_the_program_reaches_the_engine() -> None:
    """What `pulumi up` does first; without it, that ends in a traceback of gRPC."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    clean = {n: v for n, v in os.environ.items() if not n.lower().endswith("_proxy")}
    proxied = clean | {"http_proxy": "http://127.0.0.1:9"}
    try:
        for environ, seconds, reached in (
            (proxied, "1", False),
            (proxied | loopback.spared(proxied), "20", True),
        ):
            argv = [sys.executable, "-c", CONNECT, address, seconds]
            done = subprocess.run(argv, env=environ, capture_output=True)
            assert (done.returncode == 0) is reached
    finally:
        server.stop(None).wait()
