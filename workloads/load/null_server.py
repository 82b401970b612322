"""A tracking server that does nothing: the ceiling of the load generator is its rate against it.

python -m workloads.load.null_server prints its port and serves on loopback until its input ends.

It knows the calls of `workloads.users.tracking` and answers each as MLflow's REST API would, from
memory and without looking at what was sent.
"""

import asyncio
import json
import sys

RUN_ID = "0" * 32
_RUN = {
    "info": {
        "run_id": RUN_ID,
        "run_uuid": RUN_ID,
        "experiment_id": "0",
        "status": "RUNNING",
        "start_time": 1,
        "artifact_uri": "mlflow-artifacts:/0",
        "lifecycle_stage": "active",
    },
    "data": {},
}


def _answer(body: object) -> bytes:
    content = json.dumps(body).encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
        + str(len(content)).encode()
        + b"\r\n\r\n"
        + content
    )


NOTHING = _answer({})
ANSWERS = {
    b"runs/create": _answer({"run": _RUN}),
    b"runs/get": _answer({"run": _RUN}),
    b"runs/update": _answer({"run_info": _RUN["info"]}),
}


class Connection(asyncio.Protocol):
    """One connection of a client that keeps it open and sends one request after another."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request as soon as it is there with its body."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if len(self._received) < end + 4 + length:
                return
            self._received = self._received[end + 4 + length :]
            path = head.split(b" ", 2)[1].split(b"?")[0]
            call = path.split(b"/mlflow/", 1)[-1]
            self._transport.write(ANSWERS.get(call, NOTHING))


async def serve() -> None:
    """Serve on a free port of loopback until the standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
