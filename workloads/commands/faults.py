"""`faults`: the faults, and which of them a stack can have."""

from typing import Annotated

from typer import Option


def list_faults(
    stack: Annotated[str | None, Option(help="Name of a deployed stack, as multi-az.")] = None,
    names: Annotated[
        bool, Option("--names", help="Only names, of all that break something there.")
    ] = False,
) -> int:
    """List the faults, and which a stack can have."""
    from workloads.faults.catalogue import FAULTS, NOOP
    from workloads.target import target as targets

    target = targets.load(stack).target if stack else None
    if names:
        able = [f.name for f in FAULTS.values() if target is None or f.unavailable(target) is None]
        print(*(name for name in able if name != NOOP), sep="\n")
        return 0
    for fault in FAULTS.values():
        print(f"{fault.name:<18} {fault.summary}")
        print(f"{'':<18}   in production: {fault.meaning}")
        if target is not None:
            reason = fault.unavailable(target)
            answer = "yes" if reason is None else f"no: {reason}"
            print(f"{'':<18}   on {stack}: {answer}")
        else:
            platforms = ", ".join(sorted(fault.make))
            print(f"{'':<18}   on: {platforms}")
    return 0
