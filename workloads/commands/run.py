"""`run`: a scenario against a stack or a URL."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option
from typer.core import TyperCommand

from infra.outputs import Target
from workloads import CannotRunError
from workloads.commands import INTERRUPTED, PROGRAM, complain
from workloads.commands.access_options import access_given
from workloads.commands.run_folder import RESULTS, link_latest, new_folder
from workloads.commands.run_options import named, parameters_with, profile_with
from workloads.history.history import HISTORY
from workloads.plan import limits
from workloads.plan.plan import ClientRule
from workloads.plan.request import Request
from workloads.scenarios import SCENARIOS
from workloads.scenarios.resilience import ResilienceParameters

if TYPE_CHECKING:
    from workloads.web import Web

WEB_PORT = 8089
"""Where Locust shows a load, too."""

SUBJECT, LOAD, JUDGED, OUTPUT = "What is tested", "Load", "Judgement", "Output"


class RunCommand(TyperCommand):
    """Lets `--web` stand without a port, which Typer has no option for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give a `--web` that has no port the default one."""
        completed = [
            f"{word}={WEB_PORT}" if word == "--web" and following.startswith("--") else word
            for word, following in zip(args, [*args[1:], "--"], strict=False)
        ]
        return super().parse_args(ctx, completed)


def run(
    stack: Annotated[
        str | None, Option(help="Name of a deployed stack, as local.", rich_help_panel=SUBJECT)
    ] = None,
    url: Annotated[
        str | None,
        Option(
            help="Address of any tracking server, as https://mlflow.test.", rich_help_panel=SUBJECT
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="File with a bearer token for the server; else MLFLOW_TRACKING_TOKEN, or "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD of the environment.",
            rich_help_panel=SUBJECT,
        ),
    ] = None,
    user: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="User of the server; the password is in --password-file, or in "
            "MLFLOW_TRACKING_PASSWORD.",
            rich_help_panel=SUBJECT,
        ),
    ] = None,
    password_file: Annotated[
        Path | None,
        Option(metavar="FILE", help="File with the password of --user.", rich_help_panel=SUBJECT),
    ] = None,
    ca_file: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Certificates that the server's is verified by; else "
            "MLFLOW_TRACKING_SERVER_CERT_PATH, else the usual ones.",
            rich_help_panel=SUBJECT,
        ),
    ] = None,
    scenario: Annotated[
        str, Option(metavar="NAME", help="See `list`.", rich_help_panel=LOAD)
    ] = "training",
    profile: Annotated[
        str, Option(metavar="NAME", help="quick or full.", rich_help_panel=LOAD)
    ] = "quick",
    users: Annotated[
        int | None, Option(help="Users at once (default: the profile's).", rich_help_panel=LOAD)
    ] = None,
    rate: Annotated[
        float | None,
        Option(help="Planned calls/s: an open load of that rate.", rich_help_panel=LOAD),
    ] = None,
    duration: Annotated[
        str | None,
        Option(
            metavar="TIME",
            help="Load of each stage, as 90s, 2m or 1h30m; plain: seconds.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        Option(
            "--set",
            metavar="NAME=VALUE",
            help="A parameter of the scenario, see `list`; may be given again.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    fault: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="What breaks in `resilience`: names with commas between, see `faults`; all; or "
            "random.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    seed: Annotated[int, Option(help="Of all random choices.", rich_help_panel=LOAD)] = 1,
    outside: Annotated[
        bool,
        Option(
            "--outside",
            help="Load from this machine, where a stack has its load from inside the cluster.",
            rich_help_panel=LOAD,
        ),
    ] = False,
    objective: Annotated[
        list[str] | None,
        Option(
            metavar="[NAME:]FIELD=LIMIT",
            help="What has to be reached, as p95_ms=500, or of a call or step by its name in the "
            "table as 'GET artifact:p95_ms=200'; may be given again.",
            rich_help_panel=JUDGED,
        ),
    ] = None,
    client_rule: Annotated[
        ClientRule | None,
        Option(
            help="Send creates again as the client of this release of mlflow does; an emulation "
            "by the client that is installed.",
            rich_help_panel=LOAD,
        ),
    ] = None,
    fail_fast: Annotated[
        bool,
        Option(
            "--fail-fast",
            help="End the load as soon as its verdict can only be bad.",
            rich_help_panel=JUDGED,
        ),
    ] = False,
    once: Annotated[
        bool,
        Option(
            "--once",
            help="Do not try again what is undecided after the first time.",
            rich_help_panel=JUDGED,
        ),
    ] = False,
    reconcile: Annotated[
        bool,
        Option(
            "--reconcile",
            help="Before reading back, delete what the client's retries created twice.",
            rich_help_panel=JUDGED,
        ),
    ] = False,
    web: Annotated[
        int | None,
        Option(
            metavar="[PORT]",
            help="Show the run while it goes on as a page for this machine's browsers (default "
            f"port: {WEB_PORT}; 0: any).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    results: Annotated[
        Path | None,
        Option(metavar="DIR", help="Folder for this run's files.", rich_help_panel=OUTPUT),
    ] = None,
) -> int:
    """Run a scenario against a stack or a URL and judge it."""
    if (stack is None) == (url is None):
        raise CannotRunError(f"give either --stack or --url; see {PROGRAM} run --help")
    chosen = named("scenario", scenario, SCENARIOS)
    request = Request(
        scenario=chosen,
        profile_name=profile,
        profile=profile_with(chosen, profile, users, rate, duration),
        parameters=parameters_with(chosen, profile, assignments or []),
        seed=seed,
        reconcile=reconcile,
        objectives=limits.of_options(objective or []),
        fail_fast=fail_fast,
        client_rule=client_rule,
    )
    if fault and not chosen.breaks:
        raise CannotRunError(f"--fault {fault}: only resilience has faults")
    if results and (results / HISTORY).exists():
        raise CannotRunError(f"--results {results}: holds a run already; name another folder")
    given = access_given(token_file, user, password_file, ca_file)
    from workloads import in_cluster
    from workloads.load import client_settings
    from workloads.target import target

    subject = target.at(url) if url else target.load(str(stack))
    subject = replace(subject, access=subject.access.with_given(given))
    if outside:
        subject = in_cluster.load_from_this_machine(subject)
    in_cluster.check(subject, chosen, request.parameters)
    folder = results or new_folder(subject.name)
    with _page(web, folder) as page:
        from workloads.faults.preparation import ready  # imports Locust first
        from workloads.report import terminal

        request = replace(request, faults=_faults(fault, request, subject.target))
        try:
            with ready(subject, request.faults, _say) as prepared:
                client_settings.configure(prepared.tracking_uri, prepared.access)
                from workloads.runner import phases, retry

                result = phases.run(prepared, request, folder, page)
                if not once and retry.is_worthwhile(result):
                    first = retry.set_aside(folder)
                    complain(f"undecided, trying once more ({first}): {result.verdict.reasons[0]}")
                    result = phases.run(prepared, request, folder, page)
        except KeyboardInterrupt:
            kept = f"; the history is kept in {folder}" if (folder / HISTORY).exists() else ""
            complain(f"interrupted{kept}")
            return INTERRUPTED
        if folder.resolve().parent == RESULTS.resolve():
            link_latest(folder)
        terminal.show(result, terminal.console())
        print(f"\nreport: {folder / 'report.html'}")
        return result.verdict.judgement.exit_status


def _say(line: str) -> None:
    print(line, flush=True)


def _page(port: int | None, folder: Path) -> "AbstractContextManager[Web | None]":
    """Serve the live page, if it is asked for; before Locust patches the library."""
    if port is None:
        return nullcontext()
    from workloads.web import Web

    web = Web(port, folder)
    _say(f"live: {web.address}")
    return web


def _faults(names: str | None, request: Request, target: Target | None) -> tuple[str, ...]:
    """Return the faults of `resilience`, at least one; other scenarios have none."""
    if not isinstance(request.parameters, ResilienceParameters):
        return ()
    if not names:
        raise CannotRunError(f"{request.scenario.name} needs --fault: see {PROGRAM} faults")
    from workloads.faults.schedule import selected

    return selected(names, target, request.seed, request.parameters.count)
