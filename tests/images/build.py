"""Build every image as a stack builds it: `python -m tests.images.build`.

The images stay: their tags are those that a stack of this checkout gives, so they are the build
cache of both.
"""

import sys
import time

from infra.image.build import BuildFailedError, build, connect
from infra.image.context import names


def main() -> int:
    """Build all of them, one after the other."""
    client = connect()
    for name in names():
        print(f"image     {name}: building", flush=True)
        began = time.monotonic()
        try:
            tag = build(client, name)
        except BuildFailedError as error:
            print(f"image     {error}")
            return 1
        print(f"image     {name}: {tag} in {time.monotonic() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
