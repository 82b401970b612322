"""A short closed climb that finds the knee before the stages that a scenario is about."""

from collections.abc import Generator

from workloads.capacity import knee
from workloads.errors import CannotRunError
from workloads.plan import Stage
from workloads.scenarios.scenario import Measured, levels


def rate_at_knee(measured: Measured, *, most: int, seconds: float) -> Generator[Stage, None, float]:
    """Yield stages of 1, 2, 4 … `most` users, so many seconds each; return the knee's calls/s.

    Raises `CannotRunError` when the climb was never answered.
    """
    for users in levels(most):
        yield Stage(
            name=f"climb, {users} users" if users > 1 else "climb, 1 user",
            users=users,
            warm_up_s=1.5,
            load_s=seconds,
            judged=False,
        )
    found = knee(measured())
    if not found.rate:
        raise CannotRunError("no call of the climb was answered; see the tracking server's log")
    return found.rate
