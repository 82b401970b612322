"""Trouble on the way between clients and the stack, made by Toxiproxy's toxics.

Each is seen to be in effect by calls of our own through the proxy, not by the proxy's word alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from infra.outputs import Component, Target
from workloads.faults import toxiproxy
from workloads.faults.fault import Injection
from workloads.target.http_options import http_options

LATENCY_MS = 200
JITTER_MS = 100
RATE_KB = 32
"""Of a network of 256 kbit/s: an answer of the web interface takes seconds."""

DROPPED = 0.25
"""Share of connections whose answers are dropped."""

DROP_MS = 500
"""Time from the moment an answer would come until such a connection is closed."""

PATIENCE_S = 2.0
TRIES = 20


@dataclass(frozen=True)
class Answer:
    """What a call of our own got: seconds until its answer, and what went wrong (None: nothing)."""

    seconds: float
    error: str | None


Call = Callable[[str], Answer]
"""Asks for a path over a new connection."""

Sees = Callable[[Call], bool]
"""Whether some calls show the fault."""

SMALL = "/version"
LARGE = "/static-files/asset-manifest.json"
"""A list of 28 KB that is in every release of mlflow."""


class Toxic(Injection):
    """A toxic of the stack's proxy, in effect once calls show it and healed once none does."""

    def __init__(self, target: Target, name: str, toxic: dict[str, Any], sees: Sees) -> None:
        self._proxy = toxiproxy.running(target)
        self._name, self._toxic, self._sees = name, toxic, sees

    def inject(self) -> None:
        """Add it."""
        self._proxy.add(self._name, self._toxic)

    def in_effect(self) -> bool:
        """Whether calls through the proxy show it."""
        return self._sees(self._call)

    def heal(self) -> None:
        """Remove it."""
        self._proxy.remove(self._name)

    def healed(self) -> bool:
        """Whether a call is answered, and calls no longer show it."""
        return self._call(SMALL).error is None and not self._sees(self._call)

    def _call(self, path: str) -> Answer:
        began = time.monotonic()
        try:
            url = f"{self._proxy.address}{path}"
            answer = requests.get(url, timeout=PATIENCE_S, **http_options())
            error = None if answer.ok else f"HTTP {answer.status_code}"
        except requests.RequestException as failed:
            error = type(failed).__name__
        return Answer(time.monotonic() - began, error)


BROKEN = ("ConnectionError", "SSLError")
"""What `requests` calls a connection that is broken; amid a handshake of TLS, it is the second."""


def late(call: Call) -> bool:
    """Every answer takes at least the latency."""
    return all(_took(call(SMALL), LATENCY_MS / 1000) for _ in range(3))


def uneven(call: Call) -> bool:
    """Answers come late, and their times differ by a part of the jitter."""
    seconds = [call(SMALL).seconds for _ in range(6)]
    least = (LATENCY_MS - JITTER_MS) / 1000
    return min(seconds) >= least and max(seconds) - min(seconds) > JITTER_MS / 1000 / 4


def slow(call: Call) -> bool:
    """An answer of 28 KB takes at least half of the time that the rate gives it."""
    return _took(call(LARGE), 28 / RATE_KB / 2)


def silent(call: Call) -> bool:
    """A call is accepted and never answered."""
    answer = call(SMALL)
    return answer.error == "ReadTimeout" and answer.seconds >= PATIENCE_S


def reset(call: Call) -> bool:
    """A connection is broken at once."""
    answer = call(SMALL)
    return answer.error in BROKEN and answer.seconds < PATIENCE_S


def some_lost(call: Call) -> bool:
    """Of several calls, one is closed without an answer."""
    return any(call(SMALL).error in BROKEN for _ in range(TRIES))


def _took(answer: Answer, least_s: float) -> bool:
    return answer.error is None and answer.seconds >= least_s


def toxic(
    type_: str, attributes: dict[str, int], sees: Sees, toxicity: float = 1.0
) -> Callable[[Target, Component | None], Toxic]:
    """Return what makes this toxic; all are of the way that answers come."""
    described = {
        "type": type_,
        "stream": "downstream",
        "toxicity": toxicity,
        "attributes": attributes,
    }
    return lambda target, _: Toxic(target, type_, described, sees)
