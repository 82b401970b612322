"""What a stack's server must answer to names of its own and to others."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from infra.host_check import FOREIGN, wrong_answers

Rule = Callable[[str, str], int]


@contextmanager
def server(rule: Rule) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(rule(self.headers["Host"], self.headers.get("Origin", "")))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


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
        found = wrong_answers(address, [host])
    assert bool(found) == bool(told)
    for line in told:
        assert any(line in one for one in found), found
    assert all(one.startswith(f"allowed_hosts: {address} answers ") for one in found)


def test_no_server_is_one_line() -> None:
    with server(strict) as address:
        pass
    [line] = wrong_answers(address, ["own.example.com"])
    assert line == f"allowed_hosts: {address} does not answer: ConnectionError"
