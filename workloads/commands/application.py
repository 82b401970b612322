"""All commands as one Typer application, and what becomes of their mistakes.

Exit status: 0 verdict good, 1 verdict bad, 2 could not run, 3 result invalid, 130 interrupted.
"""

import os

import typer

from infra import loopback
from workloads import CannotRunError
from workloads.commands import INTERRUPTED, PROGRAM, complain
from workloads.commands.audit import audit
from workloads.commands.compare import compare
from workloads.commands.faults import list_faults
from workloads.commands.fill import fill
from workloads.commands.list import list_scenarios
from workloads.commands.publish import publish
from workloads.commands.recheck import recheck
from workloads.commands.run import RunCommand, run
from workloads.commands.schema import print_schema

COULD_NOT_RUN = 2

application = typer.Typer(help="Test a deployed MLflow.", add_completion=False)
application.command("run", cls=RunCommand)(run)
application.command("list")(list_scenarios)
application.command("faults")(list_faults)
application.command("fill")(fill)
application.command("recheck")(recheck)
application.command("compare")(compare)
application.command("publish")(publish)
application.command("audit")(audit)
application.command("schema")(print_schema)


def main(arguments: list[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    os.environ.update(loopback.spared(os.environ))
    command = typer.main.get_command(application)
    try:
        with command.make_context(PROGRAM, list(arguments)) as context:
            status: int = command.invoke(context)
            return status
    except typer.Exit as ended:  # --help
        return ended.exit_code
    except typer.TyperException as error:
        complain(f"{error.format_message().rstrip('.')}; see {PROGRAM} --help")
        return COULD_NOT_RUN
    except CannotRunError as error:
        complain(str(error))
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
