"""What a history speaks of: everything that has to be looked for."""

import sys
from collections import defaultdict
from collections.abc import Iterable

from workloads.history import Kind, Operation


class Wanted:
    """Ids and names that a run's own operations created or wrote to."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.runs: set[str] = set()
        self.models: set[str] = set()
        self.registered: set[str] = set()
        self.versions: dict[str, set[str]] = defaultdict(set)
        """Ids of model versions, as `churn/3`, by their model's name."""
        self.metrics: dict[str, set[str]] = defaultdict(set)
        """Metric keys by run."""
        self.with_files: set[str] = set()
        """Runs and logged models that artifacts were sent to."""
        for operation in operations:
            self._note(operation)

    def _note(self, operation: Operation) -> None:
        made = operation.created
        for write in operation.writes:
            owner = write.owner or made
            match write.kind:
                case Kind.RUN if made:
                    self.runs.add(made)
                case Kind.MODEL if made:
                    self.models.add(made)
                case Kind.VERSION if made and write.owner:
                    self.versions[write.owner].add(made)
                case Kind.REGISTERED:
                    self.registered.add(write.key)
                case Kind.METRIC if owner:
                    self.metrics[owner].add(sys.intern(write.key))
                case Kind.ARTIFACT if owner:
                    self.with_files.add(owner)
