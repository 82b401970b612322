"""The Pulumi engine and its Python language host, built from Go modules.

For places that reach package registries only. The modules are held to the checksums in the go.sum
files of `modules/`.
"""

import shutil
from pathlib import Path

from scripts.shared import go, machine, ui
from scripts.shared.project import LOGS, release

PART = "engine"
MODULES = Path(__file__).parent / "modules"
SDK = "github.com/pulumi/pulumi/sdk/v3"
ENGINE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
TAGS = "disable_grpc_modules"
"""Leaves out 135 packages by which Google's storage speaks gRPC: the engine speaks HTTP to it."""
LANGUAGE_HOST = f"{SDK}/python/cmd/pulumi-language-python"
SCRIPTS = ("cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python")
"""Of the SDK at the engine's version: the one runs programs, the other dynamic providers."""


def build(version: str, folder: Path, scratch: Path) -> float:
    """Build everything in `scratch` and move it to `folder` when it is whole.

    Returns:
        the seconds that it took.
    """
    compiler, took = go.find()
    parts = scratch / "parts"
    parts.mkdir()
    took += _compile(compiler, "language_host", LANGUAGE_HOST, parts, version)
    took += _compile(compiler, "engine", ENGINE, parts, version)
    find = [str(compiler), "list", "-mod=mod", "-m", "-f", "{{.Dir}}", SDK]
    source = scratch / "engine"
    sdk = machine.output(find, timeout=120, env=go.ENVIRONMENT, cwd=source)
    if not sdk:
        raise ui.SetupError(f"go list names no folder for {SDK}, which it has just built")
    for script in SCRIPTS:
        target = parts / Path(script).name
        shutil.copyfile(Path(sdk) / "python" / script, target)
        target.chmod(0o755)
    printed = machine.output([parts / "pulumi", "version"]) or "nothing"
    if release(printed) != release(version):
        raise ui.SetupError(f"the engine that was built prints {printed}, expected v{version}")
    parts.rename(folder)
    return took


def _compile(compiler: Path, module: str, package: str, parts: Path, version: str) -> float:
    source = parts.parent / module
    shutil.copytree(MODULES / module, source)
    target = parts / package.rpartition("/")[2]
    stamp = f"-s -w -X {SDK}/go/common/version.Version=v{version}"
    options = ["-v", "-mod=mod", "-trimpath", "-tags", TAGS, "-ldflags", stamp]
    return ui.run(
        PART,
        f"compiling {target.name}",
        [compiler, "build", *options, "-o", target, package],
        log=LOGS / f"{target.name}.log",
        env=go.ENVIRONMENT,
        cwd=source,
        detail=go.progress,
    )
