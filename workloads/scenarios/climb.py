"""A short closed climb that finds the knee before the stages that a scenario is about."""

from collections.abc import Generator

from workloads import CannotRunError
from workloads.plan.plan import Stage
from workloads.scenarios.scenario import Level, Measured, levels
from workloads.verdict.saturation import knee

MOST_USERS = 128
"""Users up to which a knee is looked for that the planned climb did not reach."""

WARM_UP_S = 1.5


def rate_at_knee(measured: Measured, *, most: int, seconds: float) -> Generator[Stage, None, float]:
    """Yield stages of 1, 2, 4 … `most` users, so many seconds each; return the knee's calls/s.

    It goes on to `MOST_USERS` while more users bring more, and ends where the generator is the
    limit: then the highest rate is returned, which was served at least. Raises `CannotRunError`
    when the climb was never answered.
    """
    climbed: dict[int, Level] = {}
    for users in [*levels(most), *(levels(MOST_USERS, 2 * most) if most < MOST_USERS else ())]:
        if users > most and _reached(climbed):
            break
        yield Stage(
            name=f"climb, {users} users" if users > 1 else "climb, 1 user",
            users=users,
            warm_up_s=WARM_UP_S,
            load_s=seconds,
            judged=False,
        )
        climbed = measured()
        if climbed[users].limited:
            break
    if not any(level.rate for level in climbed.values()):
        raise CannotRunError("no call of the climb was answered; see the tracking server's log")
    if _reached(climbed):
        return knee(_rates(climbed)).rate
    return max(level.rate for level in climbed.values())


def _reached(climbed: dict[int, Level]) -> bool:
    return knee(_rates(climbed)).reached


def _rates(climbed: dict[int, Level]) -> dict[int, float]:
    return {users: level.rate for users, level in climbed.items() if not level.limited}
