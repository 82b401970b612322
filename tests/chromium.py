"""A headless Chromium that a test drives: opens addresses, fills in forms, reads what is shown."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests
import websocket

from tests.images.sandbox import wait_until
from tests.integration.workloads.browser import QUIET, executable

FLAGS = (*QUIET, "--no-proxy-server", "--remote-debugging-port=0")
SECONDS = 120


class Browser:
    """One window, by the DevTools protocol."""

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket
        self._number = 0

    def call(self, method: str, **parameters: Any) -> Any:
        """Have something done; return what came of it."""
        self._number += 1
        asked = {"id": self._number, "method": method, "params": parameters}
        self._socket.send(json.dumps(asked))
        while True:
            said = json.loads(self._socket.recv())
            if said.get("id") == self._number:
                assert "error" not in said, said
                return said["result"]

    def open(self, address: str) -> None:
        """Open an address; what it leads to may come later."""
        result = self.call("Page.navigate", url=address)
        assert "errorText" not in result, result

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page, once a promise of it is kept."""
        result = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression of the page is true, whichever page it then is."""

        def holds() -> bool:
            try:
                return bool(self.run(script))
            except AssertionError:
                time.sleep(0.1)  # The page is about to be another one.
                return False

        wait_until(holds, SECONDS, f"{script} at {self.run('location.href')}")

    @property
    def address(self) -> str:
        return str(self.run("location.href"))

    def cookies(self) -> dict[str, dict[str, Any]]:
        """All that the browser keeps, by name."""
        return {one["name"]: one for one in self.call("Storage.getCookies")["cookies"]}


@contextmanager
def browsing(folder: Path, *flags: str) -> Iterator[Browser]:
    """Have one with a profile of its own."""
    command = [executable(), *FLAGS, f"--user-data-dir={folder}", *flags, "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port_file = folder / "DevToolsActivePort"
        wait_until(lambda: port_file.exists() and port_file.read_text(), SECONDS, "Chromium starts")
        port = port_file.read_text().split()[0]
        listed = requests.get(f"http://127.0.0.1:{port}/json/list", timeout=SECONDS).json()
        [address] = [one["webSocketDebuggerUrl"] for one in listed if one["type"] == "page"]
        connection = websocket.create_connection(address, timeout=SECONDS, suppress_origin=True)
        with closing(connection):
            yield Browser(connection)
    finally:
        process.terminate()
        process.wait(60)
