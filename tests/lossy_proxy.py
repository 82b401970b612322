"""A proxy that loses answers: the server has done what was asked, and the client never hears.

    python lossy_proxy.py PORT HOST:PORT ROUTE LOSSES

Passes requests on to HOST:PORT. Of those whose path ends with ROUTE, the first LOSSES answers are
taken from the server and dropped, with the client's connection. Needs nothing but Python.
"""

import http.client
import itertools
import socket
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OF_ONE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length"}


Change = Callable[[str, str, bytes], bytes | None]
"""Gives what becomes of the answer to a method and path; None: it is dropped."""


def server(address: tuple[str, int], upstream: str, route: str, losses: int) -> ThreadingHTTPServer:
    """Return the proxy, listening at `address`; port 0 is a free one."""
    matching = itertools.count(1)

    def lose(_: str, path: str, content: bytes) -> bytes | None:
        return (
            None if path.partition("?")[0].endswith(route) and next(matching) <= losses else content
        )

    return changing(address, upstream, lose)


def changing(address: tuple[str, int], upstream: str, change: Change) -> ThreadingHTTPServer:
    """Return a proxy that passes requests on, and answers as `change` has them."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection(upstream, timeout=60)
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            content = change(self.command, self.path, answer.read())
            connection.close()
            if content is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in OF_ONE_CONNECTION:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return ThreadingHTTPServer(address, Handler)


if __name__ == "__main__":
    port, place, path, number = sys.argv[1:]
    server(("", int(port)), place, path, int(number)).serve_forever()
