"""The server that does nothing, but answers one call in fifty 2 s late, and no other for it.

python -m tests.integration.workloads.holding_server
"""

import asyncio
import itertools

import pytest

from workloads.load import null_server

HOLD_S = 2.0
EVERY = 50
_calls = itertools.count(1)


class Holding(null_server.Connection):
    def data_received(self, data: bytes) -> None:
        if next(_calls) % EVERY:
            super().data_received(data)
        else:
            asyncio.get_running_loop().call_later(HOLD_S, super().data_received, data)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(null_server, "Connection", Holding)
        asyncio.run(null_server.serve())
