"""A figure of one deployment, which may be only a bound of what would have been seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Bound(StrEnum):
    """What is known of the true value; the text is the sign that is printed before it."""

    EXACT = ""
    AT_LEAST = "≥"
    """As of a time that had not ended when the watch did, or a rate that a busy generator held."""
    AT_MOST = "≤"


@dataclass(frozen=True)
class Figure:
    """A figure of one deployment.

    Attributes:
        value: in the unit of its quantity, never below 0.
        valid: whether its run's gates let it be compared.
        machine: what it was measured on; empty where the run does not say.
    """

    value: float
    valid: bool = True
    bound: Bound = Bound.EXACT
    machine: str = ""


def mean(figures: Sequence[Figure]) -> tuple[float, Bound]:
    """Return the mean with what it is a bound of; at least one figure is given.

    A value of at most x may be 0: beside others of at least y, it leaves a mean of at least that.
    """
    bounds = {figure.bound for figure in figures} - {Bound.EXACT}
    if len(bounds) > 1:
        known = [0.0 if figure.bound is Bound.AT_MOST else figure.value for figure in figures]
        return sum(known) / len(known), Bound.AT_LEAST
    return sum(figure.value for figure in figures) / len(figures), next(iter(bounds), Bound.EXACT)
