"""A way to the Pulumi SDK's generated gRPC stubs that does not load the SDK itself.

`import pulumi` takes 0.25 s, and every `pulumi up` starts each plugin at least once. The stubs are
plain protobuf modules, so a plugin process lets Python find them under empty parent packages.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def skip_sdk() -> None:
    """Make `pulumi.runtime.proto.*` importable alone. Call it before anything imports pulumi."""
    spec = importlib.util.find_spec("pulumi")
    if spec is None or spec.origin is None:
        raise SystemExit("the Pulumi SDK is not installed here: run scripts/setup")
    root = Path(spec.origin).parent
    for name in ("pulumi", "pulumi.runtime", "pulumi.runtime.proto"):
        package = ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
