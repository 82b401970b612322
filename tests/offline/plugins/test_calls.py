"""One operation: its end, its way back, and what goes into the state."""

import threading
import time
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from scripts.offline.plugins.protocol import names, schema, states
from scripts.offline.plugins.protocol.codec import Secret
from scripts.offline.plugins.protocol.errors import CancelledError, RefusedError
from scripts.offline.plugins.protocol.resource import Call, CreateResult, Resource


class Console:
    def __init__(self) -> None:
        self.said: list[str] = []

    def status(self, urn: str, message: str) -> None:
        self.said.append(message)


class Thing(Resource):
    token = "x:index:Thing"
    table: ClassVar = {"ports": schema.texts(), "size": schema.integer(default=1)}
    computed = ("key", "ports")
    secret_outputs = ("key",)

    def create(self, call: Call, inputs: dict[str, Any]) -> CreateResult:
        return CreateResult("1", {})


def call(
    cancelled: threading.Event | None = None, *, there: bool = True, timeout: float = 0
) -> Call:
    return Call("urn", Console(), cancelled or threading.Event(), lambda: there, timeout)


def test_an_operation_ends_when_it_is_cancelled() -> None:
    cancelled = threading.Event()
    threading.Timer(0.2, cancelled.set).start()
    start = time.monotonic()
    with pytest.raises(CancelledError):
        call(cancelled).sleep(30)
    assert time.monotonic() - start < 5


def test_an_operation_ends_when_its_caller_is_gone() -> None:
    with pytest.raises(CancelledError):
        call(there=False).proceed()


def test_an_operation_ends_at_its_own_timeout() -> None:
    with pytest.raises(RefusedError, match="custom timeout"):
        call(timeout=0.2).sleep(30)


def test_what_was_made_is_taken_back_newest_first() -> None:
    done: list[str] = []
    operation = call()

    def fail() -> None:
        raise RuntimeError("stays")

    operation.on_failure(lambda: done.append("first"))
    operation.on_failure(fail)
    operation.on_failure(lambda: done.append("second"))
    assert operation.roll_back() == ["stays"]
    assert done == ["second", "first"]


def test_progress_hides_secrets_and_does_not_repeat() -> None:
    console = Console()
    operation = Call("urn", console, threading.Event(), lambda: True)
    operation.secrets = ["hunter22"]
    for message in ("pw hunter22", "pw hunter22", "next"):
        operation.status(message)
    assert console.said == ["pw [secret]", "next"]


def test_state_keeps_secrets() -> None:
    inputs = {"ports": ["80", Secret("81")]}
    made = states.outputs(Thing(), inputs, {"key": "k", "ports": ["80", "81"]})
    assert made == {"size": 1, "key": Secret("k"), "ports": ["80", Secret("81")]}
    changed = states.outputs(Thing(), inputs, {"ports": ["80", "82"]})
    assert changed["ports"] == Secret(["80", "82"])
    wrapped, plain = {"a": {"b": Secret("c")}}, {"a": {"b": "d", "e": "f"}}
    assert states.keep_secrets(wrapped, plain) == {"a": {"b": Secret("d"), "e": "f"}}


def request(mode: str | None = None, seed: bytes = b"seed") -> Any:
    naming = SimpleNamespace(
        mode=mode, proposed_name="proposed", DISABLE="disable", ENFORCE="enforce"
    )
    return SimpleNamespace(
        urn="urn:pulumi:s::p::x:index:Thing::logical",
        randomSeed=seed,
        autonaming=naming,
        HasField=lambda field: mode is not None,
    )


def test_automatic_names() -> None:
    first = names.fill_name({}, {}, request())
    assert first["name"].startswith("logical-")
    assert len(first["name"]) == len("logical-") + 7
    assert names.fill_name({}, {}, request()) == first
    assert names.fill_name({}, {}, request(seed=b"other")) != first
    assert names.fill_name(first, {}, request(seed=b"other")) == first
    assert names.fill_name(first, {"name": "given"}, request()) == {"name": "given"}
    # A name that was given before and no longer is makes place for a fresh one.
    assert names.fill_name({"name": "given"}, {}, request()) == first
    assert names.fill_name({}, {}, request("enforce"))["name"] == "proposed"
    with pytest.raises(RefusedError, match="give a 'name'"):
        names.fill_name({}, {}, request("disable"))
