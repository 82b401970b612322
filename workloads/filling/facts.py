"""What is known of a trace from its number alone, so that every search has a known answer.

Each function takes one number or an array of them: the users count with arrays what they search.
"""

from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Numbers = TypeVar("Numbers", int, NDArray[np.int64])

TEAMS = 10
NAMES = ("answer a question", "plan a journey", "check a claim")
CITIES = ("Zürich", "Málaga", "Łódź", "Tromsø", "Nîmes", "Gdańsk", "Reykjavík", "Curaçao")
"""In one span each, and in the question; letters beyond ASCII, as people search for them."""
MODELS = ("bench-large", "bench-small", "bench-tiny")
PROVIDER = "bench"
TOOLS = ("search_web", "read_page", "ask_database", "send_mail")
TURNS = 5
"""Traces of a session, one after the other."""
ENVIRONMENTS = 4
LEAST_SPANS = 4
"""A root, and one span of each kind below it."""
FAILS_EVERY = 20
LEAST_MS = 50
DURATIONS = 5000
MS_PER_DAY = 86_400_000


@dataclass(frozen=True)
class Shape:
    """So many traces, and where they lie in time.

    Attributes:
        text: characters of free text in each span.
        begin_ms: Unix time of the first trace; one follows every `step_ms`.
        seed: of ids and free text; everything else follows from the number.
    """

    traces: int
    begin_ms: int
    step_ms: int
    spans: int = 10
    text: int = 300
    seed: str = "1"

    @classmethod
    def until(
        cls, end_ms: int, days: float, traces: int, *, spans: int, text: int, seed: str
    ) -> "Shape":
        """Spread the traces evenly over so many days before `end_ms`, a ms apart at least."""
        step_ms = max(1, int(days * MS_PER_DAY) // traces)
        return cls(traces, end_ms - traces * step_ms, step_ms, spans, text, seed)

    @property
    def end_ms(self) -> int:
        """When the next trace would begin."""
        return self.begin_ms + self.traces * self.step_ms

    def began_ms(self, number: Numbers) -> Numbers:
        """When a trace began, in ms of Unix time."""
        return self.begin_ms + number * self.step_ms

    def as_dict(self) -> dict[str, Any]:
        """As it is written into a tag."""
        return asdict(self)


def team(number: Numbers) -> Numbers:
    """Which of the teams made it, in the tag `team` as `team-3`."""
    return number % TEAMS


def failed(number: Numbers) -> Any:
    """Whether its state is ERROR, by a tool that failed."""
    return number % FAILS_EVERY == FAILS_EVERY - 1


def duration_ms(number: Numbers) -> Numbers:
    """How long it took; no two of 5,000 in a row are the same."""
    return LEAST_MS + number * 1237 % DURATIONS


def name(number: Numbers) -> Numbers:
    """Which of the names it has."""
    return number % len(NAMES)


def city(number: Numbers) -> Numbers:
    """Which of the cities it is about."""
    return number % len(CITIES)


def tool(number: Numbers) -> Numbers:
    """Which of the tools it calls."""
    return number // 3 % len(TOOLS)


def model(number: Numbers) -> Numbers:
    """Which of the models it asks."""
    return number // 2 % len(MODELS)


def session(number: Numbers) -> Numbers:
    """Which session it belongs to, as `session-7`."""
    return number // TURNS


def environment(number: Numbers) -> Numbers:
    """In the metadata `environment`, as `environment-2`."""
    return number // 7 % ENVIRONMENTS


def input_tokens(number: Numbers) -> Numbers:
    """Tokens that each call of a model took."""
    return 100 + number % 900


def output_tokens(number: Numbers) -> Numbers:
    """Tokens that each call of a model gave."""
    return 20 + number % 300


def model_calls(spans: int) -> int:
    """How many spans of a trace are calls of a model: every third below the root."""
    return spans // 3


def request_id(number: int) -> str:
    """Its client request id: the number itself."""
    return f"request-{number}"


def number_of(client_request_id: str | None) -> int:
    """The number in a client request id; raises `AssertionError` if there is none."""
    digits = (client_request_id or "").removeprefix("request-")
    if not digits.isdecimal():
        raise AssertionError(f"a trace has the client request id {client_request_id!r}")
    return int(digits)


def ticket(number: int) -> str:
    """Word of the question that no other trace has."""
    return f"ticket-{number:07d}"
