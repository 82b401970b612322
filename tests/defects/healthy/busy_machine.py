import asyncio
import os
import subprocess
import sys

from tests.defects.server import Server


class Case(Server):
    """A server that is in order, on a machine with another busy process on each core."""

    run = "metrics --users 4 --duration 6"
    says = "Nothing lost"

    async def beside(self) -> None:
        busy = [
            subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(os.cpu_count() or 1)
        ]
        try:
            await asyncio.Event().wait()
        finally:
            for process in busy:
                process.kill()
                process.wait()
