"""Builds an image of the project and prints its tag: `python -m infra.image.build toxiproxy`.

BuildKit builds where the engine has it; it keeps no containers and no untagged images. Elsewhere
the old builder does, and removes its containers. Neither needs the docker command or buildx.
"""

import base64
import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from infra.image import buildkit, registry
from infra.image.context import BuildContext, BuildContextError, find_ca_bundle, stage

BUILD_ROOT = Path(__file__).resolve().parents[2] / ".build"
SILENT_SECONDS = 1800
"""Longest silence of an engine: the old builder prints nothing while it compiles."""

BUILDKIT_API = (1, 39)
"""First version of the engine's API that offers BuildKit on every Linux, that of Docker 18.09."""

_UNREAD = "failed to read downloaded context"
"""BuildKit's error for every context that is sent to it, on engines older than Docker 28 that keep
images in containerd's store (github.com/moby/moby/issues/47717)."""

OUTPUT_LINES = 30
_REFUSED = "refused: "
"""Begins the line by which a step of our own says why a build cannot go on."""
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
REPORT_SECONDS = 20.0


class BuildFailedError(Exception):
    """A build failed; the message ends with the end of its output."""


def connect() -> docker.DockerClient:
    """Return a client that waits as long as a build may take. Raises Docker's errors."""
    return docker.from_env(timeout=SILENT_SECONDS)


def has_buildkit(client: docker.DockerClient) -> bool:
    """Return whether BuildKit builds: the engine is Docker's, for Linux, and new enough.

    DOCKER_BUILDKIT=0 asks for the old builder, as it does of the docker command.
    """
    if os.environ.get("DOCKER_BUILDKIT") == "0":
        return False
    version: dict[str, Any] = client.version()
    engine = "Engine" in {part["Name"] for part in version.get("Components", ())}
    api = tuple(int(part) for part in str(version["ApiVersion"]).split("."))
    return engine and version["Os"] == "linux" and api >= BUILDKIT_API


def ensure(
    client: docker.DockerClient,
    context: BuildContext,
    report: Callable[[str], None] = lambda _: None,
) -> str:
    """Build an image unless the engine has one of its tag, which names its content; return its id.

    `report` gets a line every 20 s while it is built. Raises `BuildFailedError` and Docker's
    errors.
    """
    identifier = registry.image_id(client, context.tag)
    if identifier is not None:
        return identifier
    # BuildKit pulls nothing itself without a session, of which the client library has none.
    try:
        registry.pull(client, context.base)
    except registry.RegistryError as error:
        raise BuildFailedError(f"{context.tag}: its base {error}") from None
    try:
        _build(client, context, report, with_buildkit=has_buildkit(client))
    except BuildFailedError as error:
        if _UNREAD not in str(error):
            raise
        _build(client, context, report, with_buildkit=False)
    identifier = registry.image_id(client, context.tag)
    if identifier is None:
        raise BuildFailedError(f"{context.tag}: the build ended without an image")
    return identifier


def _build(
    client: docker.DockerClient,
    context: BuildContext,
    report: Callable[[str], None],
    *,
    with_buildkit: bool,
) -> None:
    """Build with one of the builders; raises `BuildFailedError` and Docker's errors."""
    report(f"{context.tag}: building{'' if with_buildkit else ' with the old builder'}")
    # Everything that this client asks for carries the builder's version, which only a build reads.
    client.api.params = {"version": "2" if with_buildkit else "1"}
    try:
        lines = client.api.build(
            path=str(context.path),
            tag=context.tag,
            rm=True,
            forcerm=True,
            decode=True,
            # BuildKit looks at the first 512 bytes, in which it knows gzip but not Python's tar.
            gzip=True,
        )
        _follow(context.tag, lines, report)
    finally:
        client.api.params = {}


def build(client: docker.DockerClient, image: str) -> str:
    """Build an image from its staged context, as a stack does; returns its tag.

    Raises `BuildContextError`, `BuildFailedError` and Docker's errors.
    """
    context = stage(image, BUILD_ROOT, ca_bundle=find_ca_bundle())
    ensure(client, context)
    return context.tag


def _follow(tag: str, lines: Iterator[dict[str, Any]], report: Callable[[str], None]) -> None:
    """Read a build's output to its end.

    Raises BuildFailedError with the end of it, or with the one line of a refusal.
    """
    output: list[str] = []
    failure = ""
    with _progress(tag, report) as step:
        for line in lines:
            for text, begins in _texts(line):
                if begins:
                    step(text)
                else:
                    output.append(text)
            failure = str(line.get("error", failure)).strip()
    if failure:
        refused = [text for text in output if text.startswith(_REFUSED)]
        if refused:
            raise BuildFailedError(f"{tag}: {refused[-1]}")
        tail = "\n".join(f"  {text}" for text in output[-OUTPUT_LINES:])
        raise BuildFailedError(f"{tag}: {failure}\nend of its output:\n{tail}")


def _texts(line: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield the texts of a line of either builder; True: it names a step that has begun."""
    if line.get("id") == "moby.buildkit.trace":
        lines = buildkit.progress(base64.b64decode(line["aux"]))
    else:
        texts = str(line.get("stream", "")).splitlines()
        lines = ((text, text.startswith("Step ")) for text in texts)
    plain = ((_COLOUR.sub("", text).strip(), begins) for text, begins in lines)
    return ((text, begins) for text, begins in plain if text)


@contextlib.contextmanager
def _progress(tag: str, report: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Report the present step every 20 s, also of a builder that prints nothing for minutes."""
    began = time.monotonic()
    current = [""]
    ended = threading.Event()

    def report_regularly() -> None:
        while not ended.wait(REPORT_SECONDS):
            report(f"{tag}: {current[0][:90]} ({time.monotonic() - began:.0f} s)")

    reporter = threading.Thread(target=report_regularly, daemon=True)
    reporter.start()
    try:
        yield lambda step: current.__setitem__(0, step)
    finally:
        ended.set()
        reporter.join()


if __name__ == "__main__":
    try:
        with closing(connect()) as client:
            print(build(client, sys.argv[1]))  # noqa: T201
    except (BuildContextError, BuildFailedError, DockerException) as error:
        sys.exit(str(error))
