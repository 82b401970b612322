"""The command lines of `scripts/backup` and `scripts/restore`.

Exit status: 0 done, 2 refused or failed.
"""

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import requests

from infra.outputs import Target
from scripts.archive import RefusedError, put_back, take
from workloads import target as stacks
from workloads.errors import CannotRunError, summary

FAILED = 2


def main(arguments: list[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    options = _parser(arguments[0]).parse_args(arguments[1:])
    began = time.monotonic()
    try:
        subject = stacks.load(options.stack).target
        assert subject  # a stack that was loaded has one
        said = (_backup if arguments[0] == "backup" else _restore)(subject, options.file)
    except (RefusedError, CannotRunError) as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return FAILED
    except requests.RequestException as error:
        print(f"{arguments[0]}: the artifacts: {summary(error)}", file=sys.stderr)
        return FAILED
    except OSError as error:
        place = error.filename or options.file or "this folder"
        print(f"{arguments[0]}: {place}: {error.strerror or error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{arguments[0]}: interrupted", file=sys.stderr)
        return FAILED
    print(f"{arguments[0]}: {said}, in {time.monotonic() - began:.1f} s")
    return 0


def _parser(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"scripts/{command}")
    parser.add_argument("stack", metavar="STACK", help="name of a deployed stack, as local")
    if command == "backup":
        parser.description = (
            "Copy a running stack's database and artifacts of one moment into one file."
        )
        parser.add_argument(
            "file",
            metavar="FILE",
            nargs="?",
            type=Path,
            help="a file that is not there yet (default: STACK-TIME.tar in this folder)",
        )
    else:
        parser.description = "Put a backup into a stack that is deployed and empty."
        parser.add_argument("file", metavar="FILE", type=Path, help="what scripts/backup wrote")
    return parser


def _backup(target: Target, path: Path | None) -> str:
    path = path or Path(f"{target.stack}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar")
    found = take.take(target, path)
    for name in found.deleted:
        print(f"backup: {name} was deleted while the backup was taken")
    size = path.stat().st_size / 2**20
    return (
        f"{path}: {len(found.sha256) - 1} artifacts and the database of mlflow "
        f"{found.mlflow_version}, as of {found.moment}; {size:.1f} MiB"
    )


def _restore(target: Target, path: Path) -> str:
    found = put_back.put_back(target, path)
    return (
        f"{target.stack} has {len(found.sha256) - 1} artifacts and the database of "
        f"{found.stack}, as of {found.moment}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
