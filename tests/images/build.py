"""Build every image as a stack builds it: `python -m tests.images.build`.

The images stay: their tags are those that a stack of this checkout gives, so they are the build
cache of both.
"""

import sys
import time
from pathlib import Path

import docker
from docker.errors import BuildError

from tests.images.sandbox import build

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "infra" / "images"


def main() -> int:
    """Build all of them, one after the other."""
    client = docker.from_env(timeout=1800)
    for folder in sorted(path.parent for path in IMAGES.glob("*/Dockerfile")):
        print(f"image     {folder.name}: building", flush=True)
        began = time.monotonic()
        try:
            tag = build(client, folder.name)
        except BuildError as error:
            for line in [str(part.get("stream", part)).rstrip() for part in error.build_log][-30:]:
                print(line)
            print(f"image     {folder.name}: {error}")
            return 1
        print(f"image     {folder.name}: {tag} in {time.monotonic() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
