"""Ports for checks: kept while the container is there, free ones otherwise."""

import socket
from dataclasses import dataclass, field
from typing import Any

import pytest

from infra.docker import ports
from infra.specification.error import SpecError


@dataclass
class Made:
    """A container with `internal` ports published at `external` ones."""

    name: str
    ports: dict[int, int]

    @property
    def attrs(self) -> dict[str, Any]:
        bindings = {
            f"{inside}/tcp": [{"HostIp": "", "HostPort": str(outside)}]
            for inside, outside in self.ports.items()
        }
        return {"HostConfig": {"PortBindings": bindings or None}}


@dataclass
class Engine:
    made: list[Made] = field(default_factory=list)

    @property
    def containers(self) -> "Engine":
        return self

    def list(self, **_: Any) -> list[Made]:
        return self.made


@pytest.fixture(autouse=True)
def few_ports(monkeypatch: pytest.MonkeyPatch) -> range:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        first = min(int(probe.getsockname()[1]), 65000)
    chosen = range(first, first + 200)
    monkeypatch.setattr(ports, "AUDIT_PORTS", chosen)
    return chosen


def ask(engine: Engine, **containers: int) -> dict[str, int]:
    return ports.audit_ports(engine, containers)  # type: ignore[arg-type]


def test_what_is_there_keeps_its_port_and_others_get_free_ones(few_ports: range) -> None:
    kept, other = few_ports[7], few_ports[0]
    engine = Engine([Made("db", {5432: kept}), Made("someone", {80: other}), Made("bare", {})])
    found = ask(engine, db=5432, server=5000)
    assert found["db"] == kept
    assert found["server"] in few_ports
    assert found["server"] not in (kept, other)


def test_a_port_of_another_kind_is_not_kept(few_ports: range) -> None:
    engine = Engine([Made("nginx", {8080: 5000, 8081: few_ports[3]})])
    assert ask(engine, nginx=8081) == {"nginx": few_ports[3]}
    assert ask(Engine([Made("server", {5000: 5000})]), server=5000)["server"] != 5000


def test_a_port_in_use_is_passed_over(few_ports: range) -> None:
    [first] = ask(Engine(), one=1).values()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", first))
        holder.listen()
        [second] = ask(Engine(), one=1).values()
    assert second > first


def test_no_port_left_is_one_line(few_ports: range, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "AUDIT_PORTS", few_ports[:1])
    with pytest.raises(SpecError, match="are all taken"):
        ask(Engine([Made("a", {1: few_ports[0]})]), b=2)
