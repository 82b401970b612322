"""Builds an image of the project and prints its tag: `python -m infra.docker.build toxiproxy`.

BuildKit builds where the engine has it; it keeps no containers and no untagged images. Elsewhere
the old builder does, told to remove its containers. Neither needs the docker command or buildx.
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

from infra.build_context import BuildContext, BuildContextError, find_ca_bundle, stage
from infra.docker import buildkit, registry

BUILD_ROOT = Path(__file__).resolve().parents[2] / ".build"
SILENT_SECONDS = 1800
"""Longest time that an engine may say nothing: the old builder compiles without a word."""

BUILDKIT_API = (1, 39)
"""First version of the engine's API that offers BuildKit on every Linux, that of Docker 18.09."""

_UNREAD = "failed to read downloaded context"
"""What BuildKit says of every context that is sent to it, on engines older than Docker 28 that keep
images in containerd's store (github.com/moby/moby/issues/47717)."""

OUTPUT_LINES = 30
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
TELL_SECONDS = 20.0


class BuildFailedError(Exception):
    """A build failed; the message ends with the end of its output."""


def connect() -> docker.DockerClient:
    """Return a client that waits as long as a build may take. Raises Docker's errors."""
    return docker.from_env(timeout=SILENT_SECONDS)


def has_buildkit(client: docker.DockerClient) -> bool:
    """Tell whether BuildKit builds: the engine is Docker's, for Linux, and not too old.

    DOCKER_BUILDKIT=0 asks for the old builder, as it does of the docker command.
    """
    if os.environ.get("DOCKER_BUILDKIT") == "0":
        return False
    said: dict[str, Any] = client.version()
    engine = "Engine" in {part["Name"] for part in said.get("Components", ())}
    api = tuple(int(part) for part in str(said["ApiVersion"]).split("."))
    return engine and said["Os"] == "linux" and api >= BUILDKIT_API


def ensure(
    client: docker.DockerClient, context: BuildContext, say: Callable[[str], None] = lambda _: None
) -> str:
    """Build an image unless the engine has one of its tag, which names its content; return its id.

    `say` is handed a line now and then while it is built. Raises `BuildFailedError` and Docker's
    errors.
    """
    found = registry.image_id(client, context.tag)
    if found is not None:
        return found
    # BuildKit pulls nothing itself without a session, of which the client library has none.
    try:
        registry.pull(client, context.base)
    except registry.RegistryError as error:
        raise BuildFailedError(f"{context.tag}: its base {error}") from None
    try:
        _build(client, context, say, with_buildkit=has_buildkit(client))
    except BuildFailedError as error:
        if _UNREAD not in str(error):
            raise
        _build(client, context, say, with_buildkit=False)
    found = registry.image_id(client, context.tag)
    if found is None:
        raise BuildFailedError(f"{context.tag}: the build ended without an image")
    return found


def _build(
    client: docker.DockerClient,
    context: BuildContext,
    say: Callable[[str], None],
    *,
    with_buildkit: bool,
) -> None:
    """Build with one of the builders; raises `BuildFailedError` and Docker's errors."""
    say(f"{context.tag}: building{'' if with_buildkit else ' with the old builder'}")
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
        _follow(context.tag, lines, say)
    finally:
        client.api.params = {}


def build(client: docker.DockerClient, image: str) -> str:
    """Build an image from its staged context, as a stack does; returns its tag.

    Raises `BuildContextError`, `BuildFailedError` and Docker's errors.
    """
    context = stage(image, BUILD_ROOT, ca_bundle=find_ca_bundle())
    ensure(client, context)
    return context.tag


def _follow(tag: str, lines: Iterator[dict[str, Any]], say: Callable[[str], None]) -> None:
    """Read a build's output to its end. Raises BuildFailedError with the end of it."""
    output: list[str] = []
    failure = ""
    with _progress(tag, say) as step:
        for line in lines:
            for text, begins in _texts(line):
                if begins:
                    step(text)
                else:
                    output.append(text)
            failure = str(line.get("error", failure)).strip()
    if failure:
        tail = "\n".join(f"  {text}" for text in output[-OUTPUT_LINES:])
        raise BuildFailedError(f"{tag}: {failure}\nend of its output:\n{tail}")


def _texts(line: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield what a line of either builder says; True: it names a step that has begun."""
    if line.get("id") == "moby.buildkit.trace":
        found = buildkit.told(base64.b64decode(line["aux"]))
    else:
        texts = str(line.get("stream", "")).splitlines()
        found = ((text, text.startswith("Step ")) for text in texts)
    plain = ((_COLOUR.sub("", text).strip(), begins) for text, begins in found)
    return ((text, begins) for text, begins in plain if text)


@contextlib.contextmanager
def _progress(tag: str, say: Callable[[str], None]) -> Iterator[Callable[[str], None]]:
    """Tell the present step now and then, also of a builder that says nothing for minutes."""
    began = time.monotonic()
    current = [""]
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(TELL_SECONDS):
            say(f"{tag}: {current[0][:90]} ({time.monotonic() - began:.0f} s)")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield lambda step: current.__setitem__(0, step)
    finally:
        ended.set()
        teller.join()


if __name__ == "__main__":
    try:
        with closing(connect()) as found:
            print(build(found, sys.argv[1]))  # noqa: T201
    except (BuildContextError, BuildFailedError, DockerException) as error:
        sys.exit(str(error))
