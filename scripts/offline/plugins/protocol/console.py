"""Messages from a plugin to the engine, which shows them beside their resource."""

from typing import Any

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc


class EngineConsole:
    """Messages to the engine, which shows them beside their resource."""

    def __init__(self) -> None:
        self._stub: Any = None

    def connect(self, address: str) -> None:
        """Use the engine at this address from now on."""
        self._stub = engine_pb2_grpc.EngineStub(grpc.insecure_channel(address))

    def status(self, urn: str, message: str) -> None:
        """Show a line that the next one replaces."""
        self._log(engine_pb2.INFO, urn, message, ephemeral=True)

    def _log(self, severity: Any, urn: str, message: str, *, ephemeral: bool) -> None:
        if self._stub is None:
            return
        request = engine_pb2.LogRequest(
            severity=severity, message=message, urn=urn, ephemeral=ephemeral
        )
        try:
            self._stub.Log(request, timeout=5)
        except grpc.RpcError:
            return  # the engine is going away; the operation learns that from its own call
