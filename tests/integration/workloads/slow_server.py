"""The server that does nothing, but takes 50 ms for each call, one after the other.

python -m tests.integration.workloads.slow_server
"""

import asyncio
import time

import pytest

from workloads.load import null_server

CALL_S = 0.05


class Slow(null_server.Connection):
    def data_received(self, data: bytes) -> None:
        time.sleep(CALL_S)
        super().data_received(data)


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(null_server, "Connection", Slow)
        asyncio.run(null_server.serve())
