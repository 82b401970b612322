"""What is looked at before a deployment on Docker: ports, routes, and where the engine is."""

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import psutil
import pulumi
import pytest

from infra.checks.ports import port_problem
from infra.docker import preflight, subnets
from infra.image import engine
from infra.specification.error import SpecError
from tests.ports import free_port

LOOPBACK = IPv4Address("127.0.0.1")


class Nothing:
    """An engine that runs nothing, on this machine's kernel or another."""

    def __init__(self, kernel: str = "") -> None:
        self.kernel = kernel or os.uname().release

    @property
    def containers(self) -> "Nothing":
        return self

    networks = containers

    def list(self, **_: Any) -> list[Any]:
        return []

    def info(self) -> dict[str, Any]:
        return {"KernelVersion": self.kernel}


def check(port: int, bind: IPv4Address = LOOPBACK, key: str = "port") -> None:
    preflight.check_port(Nothing(), "own", bind, port, key)  # type: ignore[arg-type]


@contextmanager
def listening(address: str, *, only_v6: bool) -> Iterator[int]:
    """Listen at an IPv6 address, at a port that is free at IPv4's, too."""
    port = free_port()
    with socket.socket(socket.AF_INET6) as holder:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
        holder.bind((address, port))
        holder.listen()
        yield port


@pytest.fixture
def both_families(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `localhost` lead to ::1 first, as it does on macOS and most Linux systems."""
    if not Path("/proc/net/if_inet6").exists() and os.uname().sysname == "Linux":
        pytest.skip("this machine has no IPv6")
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
        names = ("::1", "127.0.0.1") if host == "localhost" else (host,)
        return [place for name in names for place in real(name, port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.usefixtures("both_families")
@pytest.mark.parametrize("address", ["::1", "::"])
def test_a_port_that_localhost_leads_past_is_refused(address: str) -> None:
    with listening(address, only_v6=True) as port:
        with pytest.raises(SpecError) as caught:
            check(port)
        # Who has a name or an address of its own is not asked at localhost.
        check(port, key="s3_port")
    assert str(caught.value).startswith(
        f"port: {port}: localhost leads to [::1] first, where it is taken by process {os.getpid()} "
    )
    assert str(caught.value).endswith(f"pulumi config set port {port + 1}")
    check(port)


@pytest.mark.usefixtures("both_families")
def test_a_port_of_all_addresses_is_refused() -> None:
    with listening("::", only_v6=False) as port, pytest.raises(SpecError, match="taken by"):
        check(port)


def test_where_localhost_is_ours_first_the_other_address_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = socket.getaddrinfo("127.0.0.1", 1, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: ours)
    with listening("::1", only_v6=True) as port:
        check(port)


def test_on_macos_airplay_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(psutil, "net_connections", lambda _: [])
    line = port_problem(OSError(), LOOPBACK, 5000, "port")
    assert line.startswith("port: 5000: taken by another program (AirPlay Receiver has it unless")
    assert "AirPlay" not in port_problem(OSError(), LOOPBACK, 5001, "port")


HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def route(to: str, interface: str = "tun0") -> str:
    network = IPv4Network(to)
    numbers = [
        f"{int.from_bytes(one.packed, sys.byteorder):08X}"
        for one in (network.network_address, network.netmask)
    ]
    return f"{interface}\t{numbers[0]}\t00000000\t0003\t0\t0\t0\t{numbers[1]}\t0\t0\t0\n"


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(subnets, "_ROUTES", tmp_path / "route")
    monkeypatch.setattr(psutil, "net_if_addrs", dict)
    return tmp_path / "route"


def choose(client: Nothing | None = None) -> IPv4Network:
    [found] = subnets.subnets(client or Nothing(), ["own-network-a"], [])  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize(
    ("leading_to", "block"),
    [
        ([], 0),
        (["0.0.0.0/0"], 0),
        (["0.0.0.0/1", "128.0.0.0/1"], 0),
        (["192.168.1.0/24", "172.17.0.0/16"], 0),
        (["10.89.7.0/24"], 0),
        (["10.0.0.0/8"], 1),
        (["10.64.0.0/10", "172.16.0.0/12"], 2),
    ],
)
def test_a_subnet_is_where_no_route_leads(routes: Path, leading_to: list[str], block: int) -> None:
    routes.write_text(HEAD + "".join(map(route, leading_to)))
    found = choose()
    assert found.subnet_of(subnets.SUBNETS[block])
    narrow = [one for one in map(IPv4Network, leading_to) if one.prefixlen > 1]
    assert not any(found.overlaps(one) for one in narrow)


def test_routes_to_everywhere_are_one_line(routes: Path) -> None:
    everywhere = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]
    routes.write_text(HEAD + "".join(map(route, everywhere)))
    with pytest.raises(SpecError) as caught:
        choose()
    assert str(caught.value) == (
        "subnets: none is free in 10.89.0.0/16, 172.30.0.0/16, 192.168.192.0/18, as this machine "
        f"has routes to {', '.join(everywhere)}; give one for each zone"
    )


def test_a_virtual_machine_has_routes_of_its_own(routes: Path) -> None:
    routes.write_text(HEAD + route("10.0.0.0/8"))
    assert choose(Nothing("5.15.0-linuxkit")).subnet_of(subnets.SUBNETS[0])
    routes.unlink()
    assert choose().subnet_of(subnets.SUBNETS[0])


@pytest.mark.skipif(not subnets._ROUTES.exists(), reason="not on Linux")
def test_this_machine_s_routes_are_read() -> None:
    found = subnets._routes()
    assert all(network.prefixlen > 1 for network in found)


@pytest.fixture
def docker_host(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("PULUMI_CONFIG", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    "address",
    [
        "",
        "unix:///var/run/docker.sock",
        "tcp://127.0.0.1:2375",
        "tcp://localhost:2376",
        "ssh://me@localhost",
        "tcp://[::1]:2375",
    ],
)
def test_an_engine_of_this_machine_is_near(docker_host: pytest.MonkeyPatch, address: str) -> None:
    docker_host.setenv("DOCKER_HOST", address)
    engine.check_is_near()


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("ssh://me@build.invalid", "build.invalid"),
        ("tcp://192.0.2.7:2376", "192.0.2.7"),
        ("tcp://docker.invalid:2375", "docker.invalid"),
        ("tcp://[2001:db8::1]:2375", "2001:db8::1"),
    ],
)
def test_an_engine_elsewhere_is_refused_in_one_line(
    docker_host: pytest.MonkeyPatch, address: str, host: str
) -> None:
    docker_host.setenv("DOCKER_HOST", address)
    with pytest.raises(SpecError) as caught:
        engine.connect()
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"DOCKER_HOST: {address}: ")
    assert f"{host} is another machine; run this there, or use an engine of this" in line


def test_an_engine_of_the_plugin_s_own_is_refused(docker_host: pytest.MonkeyPatch) -> None:
    docker_host.delenv("DOCKER_HOST", raising=False)
    pulumi_config = {"docker:host": "tcp://192.0.2.7:2376"}
    docker_host.setattr(pulumi.Config, "get", lambda *_: pulumi_config["docker:host"])
    with pytest.raises(SpecError, match=r"^docker:host: tcp://192\.0\.2\.7:2376: is the plugin's"):
        engine.check_is_near()


@pytest.mark.parametrize(
    ("system", "kernel", "shared"),
    [("Linux", "6.1", True), ("Linux", "5.15.0-linuxkit", False), ("Darwin", "6.1", False)],
)
def test_whose_kernel_it_is(
    monkeypatch: pytest.MonkeyPatch, system: str, kernel: str, shared: bool
) -> None:
    here = type("Uname", (), {"sysname": system, "release": "6.1"})
    monkeypatch.setattr("os.uname", lambda: here)
    assert engine.shares_kernel(Nothing(kernel)) == shared  # type: ignore[arg-type]
