"""The command line: `run`, `list`, `faults`, `recheck`, `compare`, `audit`, `schema`.

Exit status: 0 verdict good, 1 verdict bad, 2 could not run, 3 result invalid, 130 interrupted.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

from pydantic import ValidationError

from infra import loopback
from infra.outputs import Target
from workloads.comparison import needs
from workloads.errors import CannotRunError
from workloads.history import HISTORY
from workloads.plan import Profile
from workloads.scenarios import SCENARIOS
from workloads.scenarios.resilience import ResilienceParameters
from workloads.scenarios.scenario import Parameters, Scenario

if TYPE_CHECKING:
    from workloads.comparison.comparison import Comparison

T = TypeVar("T")

PROGRAM = "python -m workloads"
RESULTS = Path("results")
"""Where runs go of which nobody says where."""

COULD_NOT_RUN = 2
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    os.environ.update(loopback.spared(os.environ))
    try:
        options = _parser().parse_args(arguments)
        match options.command:
            case "list":
                return _list()
            case "faults":
                return _faults(options.stack)
            case "schema":
                return _schema()
            case "recheck":
                return _recheck(options.folder, write=options.write)
            case "compare":
                return _compare(options)
            case "audit":
                return _audit(options)
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
    run = commands.add_parser("run", help="run a scenario against a stack or a URL and judge it")
    subject = run.add_mutually_exclusive_group(required=True)
    subject.add_argument("--stack", help="name of a deployed stack, as local")
    subject.add_argument("--url", help="address of any tracking server, as https://mlflow.test")
    run.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with a bearer token for the server; else MLFLOW_TRACKING_TOKEN, or "
        "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD of the environment",
    )
    run.add_argument("--scenario", default="training", help="see `list` (default: training)")
    run.add_argument("--profile", default="quick", help="quick or full (default: quick)")
    run.add_argument("--users", type=int, help="users at once (default: the profile's)")
    run.add_argument("--rate", type=float, help="planned calls/s: an open load of that rate")
    run.add_argument("--duration", type=float, metavar="S", help="seconds of load of each stage")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a parameter of the scenario, see `list`; may be given again",
    )
    run.add_argument(
        "--fault",
        metavar="NAME",
        help="what breaks in `resilience`: names with commas between, see `faults`; all; or random",
    )
    run.add_argument("--seed", type=int, default=1, help="of all random choices (default: 1)")
    run.add_argument(
        "--reconcile",
        action="store_true",
        help="before reading back, delete what the client's retries created twice",
    )
    run.add_argument(
        "--outside",
        action="store_true",
        help="load from this machine, where a stack has its load from inside the cluster",
    )
    run.add_argument("--results", type=Path, metavar="DIR", help="folder for this run's files")
    commands.add_parser("list", help="list the scenarios")
    faults = commands.add_parser("faults", help="list the faults, and which a stack can have")
    faults.add_argument("--stack", help="name of a deployed stack, as multi-az")
    commands.add_parser("schema", help="print the JSON Schema of result.json")
    recheck = commands.add_parser("recheck", help="judge a saved run again, from its files alone")
    recheck.add_argument("folder", type=Path, metavar="DIR", help="a folder below results")
    recheck.add_argument(
        "--write", action="store_true", help="write result.json and report.html anew"
    )
    compare = commands.add_parser("compare", help="set saved results side by side, from files")
    compare.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="DIR",
        help="the folder of a comparison (scripts/bench --compare), or those of several runs",
    )
    compare.add_argument("--out", type=Path, metavar="FILE", help="where the page is written")
    compare.add_argument(
        "--history",
        type=Path,
        metavar="FILE",
        help="add the figures to FILE; status 1 if the last ones are worse than those before",
    )
    needs.add_arguments(compare)
    audit = commands.add_parser("audit", help="look for what a saved run wrote in another stack")
    audit.add_argument("folder", type=Path, metavar="DIR", help="a folder below results")
    audit.add_argument("--stack", required=True, help="name of a deployed stack, as local")
    audit.add_argument(
        "--until",
        type=_moment,
        metavar="TIME",
        help="leave out what was acknowledged later, as after a backup (ISO 8601, with the zone)",
    )
    return parser


def _list() -> int:
    for scenario in SCENARIOS.values():
        print(f"{scenario.name:<10} {scenario.summary}")  # noqa: T201
        for name, field in type(scenario.parameters_of("quick")).model_fields.items():
            values = {p: getattr(scenario.parameters_of(p), name) for p in scenario.profiles}
            shown = ", ".join(f"{p} {value}" for p, value in values.items())
            if len(set(map(str, values.values()))) == 1:
                shown = str(values["quick"])
            print(f"{'':<10}   --set {name}=…  {field.description} ({shown})")  # noqa: T201
    return 0


def _faults(stack: str | None) -> int:
    from workloads import target
    from workloads.faults.registry import FAULTS

    found = target.load(stack).target if stack else None
    for fault in FAULTS.values():
        print(f"{fault.name:<18} {fault.summary}")  # noqa: T201
        print(f"{'':<18}   in production: {fault.meaning}")  # noqa: T201
        if found is not None:
            reason = fault.unavailable(found)
            shown = "yes" if reason is None else f"no: {reason}"
            print(f"{'':<18}   on {stack}: {shown}")  # noqa: T201
        else:
            platforms = ", ".join(sorted(fault.make))
            print(f"{'':<18}   on: {platforms}")  # noqa: T201
    return 0


def _run(options: argparse.Namespace) -> int:
    scenario = _one_of("scenario", options.scenario, SCENARIOS)
    profile = _profile(scenario, options)
    parameters = _parameters(scenario, options)
    if options.fault and not scenario.breaks:
        raise CannotRunError(f"--fault {options.fault}: only resilience has faults")
    if options.results and (options.results / HISTORY).exists():
        raise CannotRunError(
            f"--results {options.results}: holds a run already; name another folder"
        )
    if options.token_file:
        os.environ["MLFLOW_TRACKING_TOKEN"] = _token(options.token_file)
    from workloads import inside, settings, target

    subject = target.at(options.url) if options.url else target.load(options.stack)
    if options.outside:
        subject = inside.from_here(subject)
    inside.check(subject, scenario, parameters)
    folder = options.results or _new_folder(subject.name)

    from workloads.faults.ready import ready  # imports Locust first, which patches the library
    from workloads.report import terminal

    faults = _chosen(options, scenario, parameters, subject.target)
    try:
        with ready(subject, faults, lambda line: print(line, flush=True)) as fronted:  # noqa: T201
            settings.configure(fronted.tracking_uri)
            from workloads.run import Wanted, run

            wanted = Wanted(
                scenario,
                options.profile,
                profile,
                parameters,
                options.seed,
                faults,
                options.reconcile,
            )
            result = run(fronted, wanted, folder)
    except KeyboardInterrupt:
        kept = f"; the history is kept in {folder}" if (folder / HISTORY).exists() else ""
        _say(f"interrupted{kept}")
        return INTERRUPTED
    if folder.resolve().parent == RESULTS.resolve():
        _latest(folder)
    terminal.show(result, terminal.console())
    print(f"\nreport: {folder / 'report.html'}")  # noqa: T201
    return result.verdict.judgement.exit_status


def _chosen(
    options: argparse.Namespace,
    scenario: Scenario,
    parameters: Parameters,
    stack: Target | None,
) -> tuple[str, ...]:
    """Return the faults of a scenario that has any, one at least."""
    if not isinstance(parameters, ResilienceParameters):
        return ()
    if not options.fault:
        raise CannotRunError(f"{scenario.name} needs --fault: see {PROGRAM} faults")
    from workloads.faults.schedule import chosen

    return chosen(options.fault, stack, options.seed, parameters.count)


def _profile(scenario: Scenario, options: argparse.Namespace) -> Profile:
    """Return the profile with what the arguments change."""
    profile = _one_of("profile", options.profile, scenario.profiles)
    if options.rate is not None and not scenario.can_be_open:
        raise CannotRunError(
            f"--rate {options.rate:g}: {scenario.name} has no planned rate; leave it out"
        )
    given = {"users": options.users, "rate": options.rate, "load_s": options.duration}
    flags = {"users": "--users", "rate": "--rate", "load_s": "--duration"}
    changes = {name: value for name, value in given.items() if value is not None}
    for name, value in changes.items():
        least = 1 if name in ("users", "load_s") else 0.01
        if not least <= value < float("inf"):
            raise CannotRunError(f"{flags[name]} {value:g}: give at least {least:g}")
    return profile.model_copy(update=changes)


def _parameters(scenario: Scenario, options: argparse.Namespace) -> Parameters:
    """Return the scenario's parameters with what the arguments change."""
    known = scenario.parameters_of(options.profile)
    changes = {}
    for setting in options.set:
        name, equals, value = setting.partition("=")
        if not equals:
            raise CannotRunError(f"--set {setting}: give it as name=value")
        if name not in type(known).model_fields:
            there = ", ".join(type(known).model_fields) or "none"
            raise CannotRunError(f"--set {name}: {scenario.name} has the parameters: {there}")
        changes[name] = value
    try:
        return type(known).model_validate(known.model_dump() | changes)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise CannotRunError(f"--set {name}={changes.get(name)}: {first['msg']}") from None


def _token(path: Path) -> str:
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise CannotRunError(f"--token-file {path}: {reason}") from None
    if not token:
        raise CannotRunError(f"--token-file {path}: is empty; put the token into it")
    return token


def _schema() -> int:
    from workloads.result import Result

    print(json.dumps(Result.model_json_schema(), indent=2))  # noqa: T201
    return 0


def _recheck(folder: Path, *, write: bool) -> int:

    from workloads.judge import conclude, judge
    from workloads.report import terminal

    result = conclude(folder) if write else judge(folder)[0]
    terminal.show(result, terminal.console())
    return result.verdict.judgement.exit_status


def _compare(options: argparse.Namespace) -> int:
    """Print the table and write the page; 1 if the history says that something got worse."""
    try:
        wanted = needs.read(options)
    except ValueError as error:
        raise CannotRunError(str(error)) from None
    from workloads.comparison import comparison, load, page, recommend
    from workloads.comparison import terminal as table
    from workloads.report import terminal

    found = comparison.compare(load.load(options.folders))
    advice = recommend.recommend(found.saved, wanted) if wanted.any else None
    table.show(found, advice, terminal.console())
    alone = len(options.folders) == 1 and options.folders[0].is_dir()
    out: Path = options.out or (options.folders[0] / page.PAGE if alone else Path(page.PAGE))
    page.write(out, found, advice)
    print(f"\npage: {out}")  # noqa: T201
    return _worse(found, options.history) if options.history else 0


def _worse(found: "Comparison", path: Path) -> int:
    """Add a comparison to a history, and say what got worse."""
    from workloads.comparison import trend

    lines = trend.remember(path, found)
    changes = list(trend.changes(lines))
    for change in changes:
        print(f"worse: {change}")  # noqa: T201
    if not changes:
        enough = trend.RECENT + trend.FEWEST_BEFORE
        few = f"; it says something from {enough} on" if len(lines) < enough else ""
        print(f"history: {len(lines)} comparisons, nothing got worse{few}")  # noqa: T201
    return 1 if changes else 0


def _audit(options: argparse.Namespace) -> int:
    from workloads import settings, target

    subject = target.load(options.stack)
    settings.configure(subject.tracking_uri)

    from workloads.audit import audit  # imports Locust first, which patches the library
    from workloads.report import terminal

    found = audit(options.folder, subject, options.until)
    terminal.show_durability(found, terminal.console())
    for said in found.not_read:
        print(f"not done: {said}")  # noqa: T201
    return {"pass": 0, "fail": 1, "unknown": 3}[found.verdict]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text}: give a time as 2026-01-02T03:04:05+00:00")
    return moment


def _one_of(what: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise CannotRunError(f"unknown {what} {name!r}: there are {', '.join(known)}")
    return known[name]


def _new_folder(subject: str) -> Path:
    name = re.sub(r"[^\w.-]+", "-", subject)
    return RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"


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
