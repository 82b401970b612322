"""A way to a server on which the next request to a route goes wrong once, as it was asked for."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

PLAN = "/next-fault"
"""`POST` here of `{"route": …, "fault": …}`; a fault is a status, or `lost`."""

LOST = "lost"
"""The server does what it was asked for, and its answer never comes."""

PATIENCE_S = 300
_OWN = {"connection", "transfer-encoding", "keep-alive"}


@contextmanager
def proxied(uri: str) -> Iterator[str]:
    """Give the address of a proxy before the server at `uri` (`http://host:port`)."""
    place = urlsplit(uri).netloc
    faults: dict[str, str] = {}

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self._body()
            path = urlsplit(self.path).path
            if path == PLAN:
                plan = json.loads(body)
                faults[plan["route"]] = plan["fault"]
                self._say(200, b"{}")
                return
            route = next((route for route in faults if path.endswith(route)), None)
            fault = faults.pop(route) if route else None
            if fault and fault != LOST:
                self._say(int(fault), b'{"error_code": "TEMPORARILY_UNAVAILABLE"}')
                return
            connection = http.client.HTTPConnection(place, timeout=PATIENCE_S)
            try:
                headers = {k: v for k, v in self.headers.items() if k.lower() not in _OWN}
                connection.request(self.command, self.path, body, headers | {"Host": place})
                answer = connection.getresponse()
                content = answer.read()
                if fault == LOST:
                    self.close_connection = True
                    return
                self._say(answer.status, content, answer.getheader("Content-Type") or "")
            finally:
                connection.close()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def _say(self, status: int, content: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
