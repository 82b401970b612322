"""Building a plugin while the engine waits for it to start.

The engine shows nothing that a plugin prints, and a build takes minutes: its progress goes to the
engine's log, which people see. When the engine is gone, so is the build.
"""

import subprocess
import sys
from pathlib import Path

import grpc  # type: ignore[import-untyped]
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

ROOT = Path(__file__).resolve().parents[3]


def build(engine: str) -> None:
    """Build the Kubernetes plugin; `engine` is the address of the engine that waits.

    Exits where it cannot be built: the engine has the reason, and shows it.
    """
    console = engine_pb2_grpc.EngineStub(grpc.insecure_channel(engine))

    def log(severity: "engine_pb2.LogSeverity.ValueType", line: str) -> None:
        console.Log(engine_pb2.LogRequest(severity=severity, message=line.strip()), timeout=5)

    command = [sys.executable, "-m", "scripts.offline.kubernetes_plugin"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr
        try:
            for line in child.stderr:
                log(engine_pb2.INFO, line)
            if child.wait():
                log(engine_pb2.ERROR, "the Kubernetes plugin could not be built: see above")
        except grpc.RpcError:
            child.terminate()
    if child.returncode:
        sys.exit(child.returncode)
