"""The indexes of a stack's own database: those that its release of MLflow makes, and no fewer."""

from collections.abc import Iterator, Sequence

from scripts.commands.doctor.finding import Finding, good, wrong
from scripts.shared import machine
from scripts.stack import indexes

DATABASE = "mlflow"
"""As stacks call it."""

PSQL = ("psql", "--host=/run/postgresql", "--username=postgres", f"--dbname={DATABASE}", "-qAt")

WHY = (
    "a migration lost it, or somebody dropped it: nothing fails, and reads get slow with each run "
    "(github.com/mlflow/mlflow/issues/14465)"
)


def check(stack: str, beside: Sequence[str]) -> Iterator[Finding]:
    """Compare them; `beside` runs a command beside PostgreSQL, as `docker exec CONTAINER`."""
    argv = [*beside, *PSQL]
    answer = machine.output([*argv, f"--command={indexes.QUERY}"], timeout=30)
    if answer is None:
        why = "PostgreSQL does not answer, or no schema job has come to its end there"
        remedy = f"{' '.join(argv)} --list; pulumi up --refresh -s {stack}"
        yield wrong(stack, "its indexes cannot be looked at", why, remedy)
        return
    release, *present = answer.splitlines()
    wanted = indexes.expected(release)
    if wanted is None:
        yield good(stack, f"has no list of mlflow {release}'s indexes to be compared with")
        return
    lost = indexes.missing(wanted, present)
    for definition in lost:
        yield wrong(
            stack,
            f"the index {indexes.name(definition)} of mlflow {release} is missing",
            WHY,
            f"{' '.join(argv)} -c '{indexes.concurrently(definition)}'",
        )
    if not lost:
        yield good(stack, f"has all {len(wanted)} indexes of mlflow {release}")
