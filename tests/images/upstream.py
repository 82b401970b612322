"""A tracking server's stand-in for the tests of the load balancer; runs inside a container.

    python -c "$(cat upstream.py)" PORT

With a certificate and its key in CERTIFICATE and KEY, as texts, it speaks TLS.
Prints a line for each request that it executes, before it answers. Paths:
    …/drop      executes, then closes the connection without an answer
    …/bytes/N   answers N bytes
    …/events    answers one event at once and another after two seconds
    others      executes, answers what it saw as JSON
"""

import itertools
import json
import os
import socket
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNK = bytes(65536)
connections = itertools.count(1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.connection_number = next(connections)

    def answer(self) -> None:
        left = length = int(self.headers.get("Content-Length", 0))
        while left:
            left -= len(self.rfile.read(min(left, len(CHUNK))))
        print("executed", self.command, self.path.partition("?")[0], flush=True)
        if self.path.endswith("/drop"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if "/bytes/" in self.path:
            size = int(self.path.rpartition("/")[2])
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            for _ in range(size // len(CHUNK)):
                self.wfile.write(CHUNK)
            return
        if self.path.endswith("/events"):
            self.close_connection = True
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"data: first\n")
            time.sleep(2)
            self.wfile.write(b"data: second\n")
            return
        seen = json.dumps(
            {
                "by": socket.gethostname(),
                "connection": self.connection_number,
                "received": length,
                "headers": dict(self.headers),
                "path": self.path,
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(seen)))
        self.end_headers()
        self.wfile.write(seen)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_: object) -> None:
        """Say nothing but what was executed."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", int(sys.argv[1])), Handler)
    if "KEY" in os.environ:
        pair = Path("/tmp/pair")
        pair.write_text(os.environ["CERTIFICATE"] + os.environ["KEY"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair)
        # Each thread shakes hands by itself.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    server.serve_forever()
