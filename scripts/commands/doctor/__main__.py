"""`scripts/doctor [STACK ...]`: every check, a line each."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from scripts.commands.doctor import machine, pods, ports, stacks, tools
from scripts.commands.doctor.finding import Finding, wrong
from scripts.commands.setup import docker, engine, environment, plugins
from scripts.commands.setup.prepare import enter
from scripts.commands.setup.source import Source
from scripts.shared import ui, venv
from scripts.shared.project import STATE, VENV
from scripts.stack import files

HEALTHY, SICK, COULD_NOT_RUN = 0, 1, 2


def main() -> int:
    """Look at everything; return 0 if all is well, 1 if something is wrong."""
    known = files.names()
    parser = argparse.ArgumentParser(
        prog="scripts/doctor",
        description="Look at this machine, the tools, ports, and every stack that is deployed with "
        "its recent logs; say what is wrong, why, and what to do. Nothing is changed.",
        epilog="Exit status: 0 all is well, 1 something is wrong, 2 could not look.",
    )
    parser.add_argument("stacks", metavar="STACK", nargs="*", help=f"only: {', '.join(known)}")
    parser.add_argument("--all", action="store_true", help="print what is well, too")
    options = parser.parse_args()
    unknown = [stack for stack in options.stacks if stack not in known]
    if unknown:
        available = ", ".join(known) or "none"
        print(
            f"doctor: no stack {', '.join(unknown)} in stacks/; there is: {available}",
            file=sys.stderr,
        )
        return COULD_NOT_RUN
    if venv.is_current() and Path(sys.prefix) != VENV:
        enter("scripts.commands.doctor")
    pulumi_engine = engine.find(Source.AUTO)
    if pulumi_engine and STATE.exists():
        bundled = plugins.bundled()
        os.environ.update(
            environment.variables(os.environ, pulumi_engine.folder, bundled, docker.host())
        )
    return report(examine(options.stacks), everything=options.all)


def examine(names: list[str]) -> Iterator[Finding]:
    """Yield what every check says."""
    yield from machine.check()
    yield from tools.packages()
    yield from tools.pulumi()
    yield from tools.engine_of_containers()
    yield from tools.own_state()
    yield from _unless_unreadable("cluster", tools.test_cluster())
    yield from _unless_unreadable("ports", ports.check())
    clustered = pods.deployed()
    if not names or set(names) - clustered:
        not_clustered = [stack for stack in names if stack not in clustered]
        yield from _unless_unreadable("stacks", stacks.check(not_clustered))
    yield from _unless_unreadable("pods", pods.check(names))


def _unless_unreadable(part: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield what a check says; that it could not look, where a state or a stack file is broken."""
    try:
        yield from findings
    except ui.SetupError as error:
        remedy = "mend that, then run this again"
        yield wrong(part, f"{part} cannot be looked at", str(error), remedy)


def report(findings: Iterable[Finding], *, everything: bool) -> int:
    """Print the findings, what is wrong with its reason and remedy; return the exit status."""
    wrong = right = 0
    for finding in findings:
        if finding.good:
            right += 1
            if everything:
                print(f"ok     {finding.part:<9} {finding.seen}")
            continue
        wrong += 1
        print(f"wrong  {finding.part:<9} {finding.seen}")
        print(f"{'':16} why: {finding.why}")
        print(f"{'':16} do:  {finding.remedy}")
    print(f"{wrong} wrong, {right} well" if wrong else f"all {right} checks are well")
    return SICK if wrong else HEALTHY


if __name__ == "__main__":
    sys.exit(main())
