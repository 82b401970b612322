"""What a command line asks of the scenario `upgrade`; without packages, as it is read first."""

import argparse
from dataclasses import dataclass

from infra import releases

NAME = "upgrade"
MOST_KILLS = 100


@dataclass(frozen=True)
class Asked:
    """An upgrade from one release of MLflow to a later one.

    Attributes:
        rolling: replica after replica, which needs one schema for both releases.
        back: afterwards, a backup of before is restored into the old release.
        kills: how many upgrades are killed half-way besides.
        keep: leave the stack deployed.
        seed: of what is killed, and when.
    """

    old: str
    new: str
    rolling: bool = False
    back: bool = False
    kills: int = 0
    keep: bool = False
    seed: int = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this scenario."""
    group = parser.add_argument_group("for --scenario upgrade")
    group.add_argument("--from", dest="old", metavar="RELEASE", help="of mlflow, to begin with")
    group.add_argument("--to", dest="new", metavar="RELEASE", help="of mlflow, a later one")
    group.add_argument(
        "--rolling",
        action="store_true",
        help="refuse releases that are not exchanged replica after replica: on Docker, or of two "
        "schemas (there all are stopped, the schema job migrates, then all start)",
    )
    group.add_argument(
        "--back",
        action="store_true",
        help="restore a backup of before into the old release afterwards, and audit that",
    )
    group.add_argument(
        "--kills",
        type=int,
        default=0,
        metavar="N",
        help="kill N further upgrades half-way: the schema job, a replica, the database, pulumi",
    )


def problem(options: argparse.Namespace) -> str | None:
    """Return what is wrong with these options; None: nothing is."""
    given = {
        "--from": options.old,
        "--to": options.new,
        "--rolling": options.rolling,
        "--back": options.back,
        "--kills": options.kills,
    }
    named = [option for option, value in given.items() if value]
    if options.scenario != NAME:
        return (
            f"{', '.join(named)}: of the scenario upgrade: add --scenario {NAME}"
            if named
            else (None)
        )
    if not (options.old and options.new):
        known = releases.supported()
        return f"--scenario {NAME}: name both releases, as in: --from {known[0]} --to {known[-1]}"
    for option in ("--from", "--to"):
        try:
            releases.checked(given[option])
        except ValueError as error:
            return f"{option} {given[option]}: {error}"
    if releases.numbers(options.old) >= releases.numbers(options.new):
        return (
            f"--from {options.old} --to {options.new}: a database goes up, and not down again: "
            "name a later release with --to (--back tries the way back)"
        )
    if not 0 <= options.kills <= MOST_KILLS:
        return f"--kills {options.kills}: give a number from 1 to {MOST_KILLS}"
    if options.keep and (options.back or options.kills):
        return "--keep: --back and --kills remove the stack and deploy it again; leave one out"
    return None


def read(options: argparse.Namespace) -> Asked:
    """Return what these options ask for."""
    return Asked(
        old=options.old,
        new=options.new,
        rolling=options.rolling,
        back=options.back,
        kills=options.kills,
        keep=options.keep,
        seed=options.seed,
    )
