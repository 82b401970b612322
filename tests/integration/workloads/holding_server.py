"""The server that does nothing, but answers one call in fifty 2 s late, and no other for it.

python -m tests.integration.workloads.holding_server
"""

import asyncio
import itertools

import pytest

from workloads.load import null_server

HOLD_S = 2.0
EVERY = 50
METHODS = (b"GET ", b"POST ", b"PATCH ")
_calls = itertools.count(1)


class Holding(null_server.Connection):
    """A call may come in two parts, of which the second must not overtake the one that is held."""

    _held: bytes | None = None

    def data_received(self, data: bytes) -> None:
        if self._held is not None:
            self._held += data
        elif data.startswith(METHODS) and next(_calls) % EVERY == 0:
            self._held = data
            asyncio.get_running_loop().call_later(HOLD_S, self._go_on)
        else:
            super().data_received(data)

    def _go_on(self) -> None:
        assert self._held is not None
        held, self._held = self._held, None
        super().data_received(held)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(null_server, "Connection", Holding)
        asyncio.run(null_server.serve())
