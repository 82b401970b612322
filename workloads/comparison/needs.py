"""What a person needs of a tracking server, as arguments say it; only the standard library."""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

OUTAGE_LIMIT_S = 10.0
UNITS = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}


class Loss(StrEnum):
    """What may fail while people go on; an outage ends with all data as it was, a loss does not."""

    REPLICA = "replica"
    ZONE = "zone"
    BALANCER_OUTAGE = "balancer-outage"
    DATABASE_OUTAGE = "database-outage"
    STORE_OUTAGE = "store-outage"
    DATABASE = "database"
    STORE = "store"


@dataclass(frozen=True)
class Needs:
    """What is needed; None or () where nothing was said.

    Attributes:
        users: people who log at once.
        artifact_bytes: largest artifact.
        must_survive: what may fail without anything acknowledged being lost.
        outage_limit_s: seconds without any answer that are still survived.
    """

    users: int | None = None
    artifact_bytes: int | None = None
    must_survive: tuple[Loss, ...] = ()
    outage_limit_s: float = OUTAGE_LIMIT_S

    @property
    def any(self) -> bool:
        """Whether anything was said."""
        return bool(self.users or self.artifact_bytes or self.must_survive)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let a command line take needs."""
    parser.add_argument("--users", metavar="N", help="for a recommendation: users at once")
    parser.add_argument(
        "--artifact-size", metavar="SIZE", help="for a recommendation: largest file, as 200MB"
    )
    parser.add_argument(
        "--must-survive",
        metavar="LOSS,…",
        help=f"for a recommendation: what may fail, of {', '.join(Loss)}",
    )
    parser.add_argument(
        "--outage-limit",
        metavar="S",
        help="for a recommendation: longest outage in seconds that is still survived "
        f"(default: {OUTAGE_LIMIT_S:g})",
    )


def read(options: argparse.Namespace) -> Needs:
    """Return what a command line says; raises `ValueError`, in one line, for a mistake."""
    return Needs(
        users=_users(options.users),
        artifact_bytes=_bytes(options.artifact_size),
        must_survive=tuple(_losses(options.must_survive)),
        outage_limit_s=_outage_limit(options.outage_limit),
    )


def arguments(options: argparse.Namespace) -> list[str]:
    """Return the same as arguments for another command line that takes needs."""
    options_given = {
        "--users": options.users,
        "--artifact-size": options.artifact_size,
        "--must-survive": options.must_survive,
        "--outage-limit": options.outage_limit,
    }
    return [
        word for name, value in options_given.items() if value is not None for word in (name, value)
    ]


def _users(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"--users {text}: give a number of users, as 40")
    return int(text)


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    size = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", text)
    unit = UNITS.get((size[2] or "B").upper()) if size else None
    if not size or unit is None or float(size[1]) <= 0:
        raise ValueError(f"--artifact-size {text}: give a size as 200MB or 1GiB")
    return round(float(size[1]) * unit)


def _losses(text: str | None) -> Iterator[Loss]:
    for word in filter(None, (text or "").split(",")):
        try:
            yield Loss(word.strip())
        except ValueError:
            names = ", ".join(Loss)
            raise ValueError(f"--must-survive {word.strip()}: there are {names}") from None


def _outage_limit(text: str | None) -> float:
    try:
        seconds = OUTAGE_LIMIT_S if text is None else float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"--outage-limit {text}: give seconds, as 5")
    return seconds
