"""What checkers are given of a run."""

from dataclasses import dataclass

from workloads.history.record import Record
from workloads.verdict.result import Durability, Freshness, StageFigures


@dataclass(frozen=True)
class Evidence:
    """What a run left, for its violations.

    `steps` is how many steps all stages had, and how many of them failed; `errors` counts failed
    operations by error, the most frequent first.
    """

    record: Record
    stages: list[StageFigures]
    steps: tuple[int, int]
    errors: dict[str, int]
    durability: Durability
    freshness: Freshness
