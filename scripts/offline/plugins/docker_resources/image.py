"""`docker.Image`: an image built by the engine's own builder, which needs no buildx.

Not served: pushing (`skipPush` must be true), and BuildKit.
"""

import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from scripts.offline.plugins.protocol.codec import Properties, Secret, Unknown, reveal
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call, Found, Made
from scripts.offline.plugins.protocol.schema import (
    Change,
    Difference,
    Failure,
    Prop,
    boolean,
    record,
    text,
    text_map,
    texts,
)

from . import build_context, images
from .shared import DockerResource, matching

OUTPUT_LINES = 30
STATUS_SECONDS = 0.2
BUILDER = matching("BuilderV1", "BuilderV1: the bundled docker plugin has no BuildKit")
IN_PLACE: dict[str, Any] = {"change": Change.UPDATE}

BUILD = {
    "context": text(),
    "dockerfile": text(),
    "args": text_map(),
    "target": text(),
    "platform": text(),
    "network": text(),
    "addHosts": texts(each=matching(r"[^:]+:.+", "of the form host:ip")),
    "cacheFrom": record({"images": texts()}),
    "builderVersion": text(rule=BUILDER),
    "contextDigest": text(),
}


class Image(DockerResource):
    """An image of a given name. A change builds it anew; deleting leaves it, as officially."""

    token = "docker:index/image:Image"
    computed = (
        "baseImageName",
        "context",
        "dockerfile",
        "platform",
        "registryServer",
        "repoDigest",
    )
    delete_before_replace = False
    table: ClassVar[Mapping[str, Prop]] = {
        "imageName": text(required=True, **IN_PLACE),
        "build": record(BUILD, **IN_PLACE),
        "buildOnPreview": boolean(default=False, **IN_PLACE),
        "skipPush": boolean(default=False, **IN_PLACE),
    }

    def check(self, inputs: Properties) -> list[Failure]:
        """Pushing is not served."""
        if inputs.get("skipPush") is True or isinstance(inputs.get("skipPush"), Unknown):
            return []
        reason = (
            "'skipPush' must be true: the bundled docker plugin does not push. "
            "Set it, or use the official plugin"
        )
        return [Failure("skipPush", reason)]

    def complete(self, inputs: Properties) -> Properties:
        """Add the context's digest, so that a changed file is a changed input."""
        build = inputs.get("build") or {}
        plain = reveal(build)
        places = [plain.get("context"), plain.get("dockerfile")]
        if isinstance(plain, Unknown) or any(isinstance(place, Unknown) for place in places):
            return inputs
        context, dockerfile = _places(plain)
        try:
            digest = build_context.digest(context, dockerfile)
        except OSError as problem:
            raise RefusedError(f"cannot read the build context: {problem}") from None
        return inputs | {"build": _with_digest(build, digest)}

    def builds_on_preview(self, inputs: Properties) -> bool:
        """As the program says."""
        return bool(inputs["buildOnPreview"])

    def unknown_after_update(self, differences: list[Difference]) -> tuple[str, ...]:
        """Nearly everything: it is another image."""
        return self.computed

    def create(self, call: Call, inputs: Properties) -> Made:
        """Build it."""
        return Made(inputs["imageName"], self._build(call, inputs))

    def update(
        self, call: Call, id_: str, old: Properties, new: Properties, state: Properties
    ) -> Properties:
        """Build it anew."""
        return self._build(call, new)

    def read(
        self, call: Call, id_: str, inputs: Properties | None, state: Properties
    ) -> Found | None:
        """Whether the name still means the image that was built.

        If it means another one, the digest of the context is dropped, so that the next update
        builds again (out of the engine's cache when nothing changed).
        """
        if inputs is None:
            return super().read(call, id_, inputs, state)
        image = images.find(self.api, inputs["imageName"])
        if image is None:
            return None
        outputs = {name: state[name] for name in self.computed if name in state}
        if image["Id"] != state["repoDigest"]:
            build = {k: v for k, v in (inputs.get("build") or {}).items() if k != "contextDigest"}
            inputs = inputs | {"build": build}
            outputs["repoDigest"] = image["Id"]
        return Found(id_, inputs, outputs)

    def _build(self, call: Call, inputs: Properties) -> Properties:
        build = inputs.get("build") or {}
        context, dockerfile = _places(build)
        name = inputs["imageName"]
        lines = self.api.build(
            path=str(context),
            dockerfile=str(dockerfile),
            tag=name,
            buildargs=build.get("args"),
            target=build.get("target"),
            platform=build.get("platform"),
            network_mode=build.get("network"),
            extra_hosts=dict(one.split(":", 1) for one in build.get("addHosts") or []) or None,
            cache_from=(build.get("cacheFrom") or {}).get("images"),
            rm=True,
            forcerm=True,
            decode=True,
        )
        _follow(call, lines)
        image = images.find(self.api, name)
        if image is None:
            raise RefusedError(f"the build of {name} ended without an image")
        return {
            "baseImageName": name,
            "context": str(build.get("context") or "."),
            "dockerfile": os.path.relpath(dockerfile, context),
            "platform": f"{image['Os']}/{image['Architecture']}",
            "registryServer": "",
            "repoDigest": image["Id"],
        }


def _with_digest(build: Any, digest: str) -> Any:
    if isinstance(build, Secret):
        return Secret(_with_digest(build.value, digest))
    return build | {"contextDigest": digest}


def _places(build: Properties) -> tuple[Path, Path]:
    """The context and the Dockerfile, absolute; both are relative to the program's directory."""
    context = Path(build.get("context") or ".").absolute()
    dockerfile = Path(build.get("dockerfile") or context / "Dockerfile").absolute()
    if not context.is_dir():
        raise RefusedError(f"build context {context} is not a directory")
    if not dockerfile.is_file():
        hint = context / (build.get("dockerfile") or "")
        advice = f"; did you mean {hint}?" if hint.is_file() else ""
        raise RefusedError(f"there is no Dockerfile at {dockerfile}{advice}")
    return context, dockerfile


def _follow(call: Call, lines: Iterator[dict[str, Any]]) -> None:
    """Show the build's output as it comes. Raises RefusedError with its end when it fails.

    The lines are read by another thread: a step may be silent for minutes, and a cancelled
    update must not wait for it. The engine ends the build when this process goes.
    """
    arrived: queue.Queue[dict[str, Any] | Exception | None] = queue.Queue()

    def read() -> None:
        try:
            for line in lines:
                arrived.put(line)
            arrived.put(None)
        except Exception as problem:
            arrived.put(problem)

    threading.Thread(target=read, daemon=True).start()
    start = shown = time.monotonic()
    output: list[str] = []
    step = "building"
    while True:
        call.proceed()
        try:
            line = arrived.get(timeout=STATUS_SECONDS)
        except queue.Empty:
            line = {}
        if line is None:
            return
        if isinstance(line, Exception):
            raise line
        if "error" in line:
            tail = "\n".join(f"  {one}" for one in output[-OUTPUT_LINES:])
            raise RefusedError(
                f"the build failed: {line['error'].strip()}\nend of its output:\n{tail}"
            )
        for one in line.get("stream", "").splitlines():
            if one.strip():
                output.append(one.rstrip())
                step = one.strip() if one.startswith("Step ") else step
        if time.monotonic() - shown >= STATUS_SECONDS:
            shown = time.monotonic()
            last = "" if not output or output[-1] == step else f" | {output[-1].strip()[:80]}"
            call.status(f"{step[:80]} ({shown - start:.0f} s){last}")
