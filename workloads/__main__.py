"""The command line: `run`, `list`, `recheck`.

Exit status: 0 verdict good, 1 verdict bad, 2 could not run, 3 result invalid, 130 interrupted.
"""

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, TypeVar

from workloads.errors import CannotRunError
from workloads.scenarios import SCENARIOS

T = TypeVar("T")

PROGRAM = "python -m workloads"
COULD_NOT_RUN = 2
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    try:
        options = _parser().parse_args(arguments)
        match options.command:
            case "list":
                return _list()
            case "recheck":
                return _recheck(options.folder, write=options.write)
            case _:
                return _run(options)
    except CannotRunError as error:
        _say(str(error))
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, as all else is said."""
        raise CannotRunError(f"{message}; see {PROGRAM} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=PROGRAM, description="Test a deployed MLflow.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a scenario against a stack and judge it")
    run.add_argument("--stack", required=True, help="name of a deployed stack, as local")
    run.add_argument("--scenario", default="training", help="see `list` (default: training)")
    run.add_argument("--profile", default="quick", help="quick or full (default: quick)")
    run.add_argument("--users", type=int, help="users at once (default: the profile's)")
    run.add_argument("--seed", type=int, default=1, help="of all random choices (default: 1)")
    run.add_argument("--results", type=Path, metavar="DIR", help="folder for this run's files")
    commands.add_parser("list", help="list the scenarios")
    recheck = commands.add_parser("recheck", help="judge a saved run again, from its files alone")
    recheck.add_argument("folder", type=Path, metavar="DIR", help="a folder below results")
    recheck.add_argument(
        "--write", action="store_true", help="write result.json and report.html anew"
    )
    return parser


def _list() -> int:
    for scenario in SCENARIOS.values():
        print(f"{scenario.name:<12} {scenario.summary}")  # noqa: T201
    return 0


def _run(options: argparse.Namespace) -> int:
    scenario = _one_of("scenario", options.scenario, SCENARIOS)
    profile = _one_of("profile", options.profile, scenario.profiles)
    if options.users is not None:
        if options.users < 1:
            raise CannotRunError(f"--users {options.users}: give at least 1")
        profile = profile.model_copy(update={"users": options.users})
    folder = _folder(options.results, options.stack)
    from workloads import settings, target

    found = target.load(options.stack)
    settings.configure(found.tracking_uri)

    from workloads.report import terminal
    from workloads.run import run  # imports Locust first, which patches the standard library

    try:
        result = run(found, scenario, options.profile, profile, options.seed, folder)
    except KeyboardInterrupt:
        kept = f"; the history is kept in {folder}" if folder.exists() else ""
        _say(f"interrupted{kept}")
        return INTERRUPTED
    if options.results is None:
        _latest(folder)
    terminal.show(result, terminal.console())
    print(f"\nreport: {folder / 'report.html'}")  # noqa: T201
    return result.verdict.judgement.exit_status


def _recheck(folder: Path, *, write: bool) -> int:

    from workloads.judge import conclude, judge
    from workloads.report import terminal

    result = conclude(folder) if write else judge(folder)[0]
    terminal.show(result, terminal.console())
    return result.verdict.judgement.exit_status


def _one_of(what: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise CannotRunError(f"unknown {what} {name!r}: there are {', '.join(known)}")
    return known[name]


def _folder(wanted: Path | None, stack: str) -> Path:
    folder = wanted or Path("results") / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{stack}"
    if (folder / "history.jsonl").exists():
        raise CannotRunError(f"--results {folder}: holds a run already; name another folder")
    return folder


def _latest(folder: Path) -> None:
    """Let `latest` beside the folder point to it, in one step."""
    link = folder.parent / "latest"
    draft = folder.parent / f".latest-{folder.name}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(folder.name)
    draft.replace(link)


def _say(message: str) -> None:
    print(f"{PROGRAM}: {message}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
