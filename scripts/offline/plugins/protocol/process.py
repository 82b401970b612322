"""A plugin's process: it tells the engine its port, and ends with the engine."""

import os
import signal
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto.provider_pb2_grpc import add_ResourceProviderServicer_to_server

from scripts.offline.plugins.protocol.server import Plugin

# As the SDK's own: state of large containers (uploads, logs) passes the default of 4 MB.
MESSAGE_LIMIT = 1024 * 1024 * 400
# How long operations that were cut off may take to undo what they made, in seconds.
UNDO_SECONDS = 60.0


def serve(plugin: Plugin) -> None:
    """Run the plugin until its engine ends it or is gone; it leaves no temporary file."""
    # The kubernetes client keeps a person's key in files until a process exits in order.
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = folder
        _serve(plugin)
    os._exit(0)  # whatever a library still waits for, nobody wants it


def _serve(plugin: Plugin) -> None:
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        plugin.console.connect(sys.argv[1])
    options = [
        ("grpc.max_receive_message_length", MESSAGE_LIMIT),
        ("grpc.max_send_message_length", MESSAGE_LIMIT),
    ]
    # Waiting operations hold a thread each; the engine's own limit is far below this.
    server = grpc.server(ThreadPoolExecutor(max_workers=256), options=options)
    add_ResourceProviderServicer_to_server(plugin, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    engine = os.getppid()
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # A killed engine tells nobody: its child then gets another parent.
    while not over.is_set() and os.getppid() == engine:
        over.wait(0.5)
    plugin.cancelled.set()
    plugin.wait_until_idle(UNDO_SECONDS)
    server.stop(grace=1).wait()
