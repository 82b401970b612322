"""The server of the page, run as a file of its own: `server.py PORT`, 0 for any that is free.

It prints its address, or why it has none. It is told by lines of JSON at its input, and ends with
it. Read-only, and for browsers of this machine alone.
"""

import json
import os
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
PAGE = Path(__file__).parent / "page.html"
STYLE = Path(__file__).parents[1] / "report" / "report.css"

MOST_POINTS = 3600
"""Then every second one is dropped: an hour of seconds, two of every other second …"""

NICE = 10
"""The load generator and what is tested come first."""


class State:
    """What was told last, and the points of the charts since the begin."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[str, Any] = {}
        self._points: list[dict[str, Any]] = []

    def take(self, line: str) -> None:
        """Take a line; one that is torn, as the reader was too slow, is left out."""
        try:
            state = json.loads(line)
        except ValueError:
            return
        point = state.pop("point")
        with self._lock:
            self._last = state
            if point:
                self._points.append(point | {"at": state["now"], "phase": state["phase"]})
                if len(self._points) > MOST_POINTS:
                    del self._points[1::2]

    def since(self, at: float) -> bytes:
        """Return the state as JSON, with the points that are newer than a time."""
        with self._lock:
            points = [point for point in self._points if point["at"] > at]
            now = {"now": time.time()} if self._last else {}
            return json.dumps(self._last | now | {"points": points}).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers for the page and for what is new."""

    state: State

    def do_GET(self) -> None:
        """Answer; a name that is not loopback's may be a web site's that points here."""
        asked = urlsplit(self.path)
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in (HOST, "localhost"):
            self.send_error(HTTPStatus.FORBIDDEN)
        elif asked.path == "/":
            style = STYLE.read_text(encoding="utf-8")
            page = PAGE.read_text(encoding="utf-8").replace("/* style */", style)
            self._answer("text/html; charset=utf-8", page.encode())
        elif asked.path == "/now":
            try:
                since = float(parse_qs(asked.query).get("since", ["0"])[0])
            except ValueError:
                since = 0.0
            self._answer("application/json", self.state.since(since))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is declared
        """Say nothing: the terminal is the run's."""


def main(port: int) -> int:
    """Serve until the input ends; returns the exit status."""
    try:
        server = ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        print(getattr(error, "strerror", None) or error, flush=True)  # noqa: T201
        return 1
    server.daemon_threads = True
    os.nice(NICE)
    Handler.state = State()
    print(f"http://{HOST}:{server.server_address[1]}/", flush=True)  # noqa: T201
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for line in sys.stdin:
        Handler.state.take(line)
    server.shutdown()
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
