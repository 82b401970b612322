"""What a stack's server must answer to names of its own and to others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from infra.checks.hosts import FOREIGN, wrong_answers
from tests.serving import Handler, serving

Rule = Callable[[str, str], int]


@contextmanager
def server(rule: Rule) -> Iterator[str]:
    class Ruled(Handler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(rule(self.headers["Host"], self.headers.get("Origin", "")))

    with serving(Ruled) as address:
        yield address.removeprefix("http://")


def strict(host: str, origin: str) -> int:
    known = host.split(":")[0] == "own.example.com"
    return 200 if known and FOREIGN not in origin else 403


def any_host(host: str, origin: str) -> int:
    return 403 if FOREIGN in origin else 200


def any_origin(host: str, origin: str) -> int:
    return 403 if FOREIGN in host else 200


def only_with_port(host: str, origin: str) -> int:
    return strict(host, origin) if ":" in host else 403


@pytest.mark.parametrize(
    ("rule", "host", "told"),
    [
        (strict, "own.example.com", []),
        (strict, "other.example.com", ["403 to Host: other.example.com, not 200"]),
        (any_host, "own.example.com", [f"200 to Host: {FOREIGN}, not 403"]),
        (any_origin, "own.example.com", [f"Origin: http://{FOREIGN}, not 403"]),
        (only_with_port, "own.example.com", ["403 to Host: own.example.com, not 200"]),
        (lambda *_: 503, "own.example.com", ["503 to Host: own.example.com, not 200"]),
    ],
)
def test_a_wrong_answer_is_a_line(rule: Rule, host: str, told: list[str]) -> None:
    with server(rule) as address:
        found = wrong_answers(f"http://{address}", [host])
    assert bool(found) == bool(told)
    for line in told:
        assert any(line in one for one in found), found
    assert all(one.startswith(f"allowed_hosts: {address} answers ") for one in found)


def test_a_changed_password_is_one_line_and_no_fault_of_a_host() -> None:
    with server(lambda *_: 401) as address:
        found = wrong_answers(f"http://{address}", ["a", "b"], ("admin", "pa55word"))
        without = wrong_answers(f"http://{address}", ["a"])
    [line] = found
    assert line.startswith(f"auth: {address} refuses the stack's password of admin: ")
    assert "pa55word" not in line
    assert all(line.startswith("allowed_hosts: ") for line in without)


def test_no_server_is_one_line() -> None:
    with server(strict) as address:
        pass
    [line] = wrong_answers(f"http://{address}", ["own.example.com"])
    assert line == f"allowed_hosts: {address} does not answer: ConnectionError"
