"""What a history speaks of: everything that has to be looked for."""

import sys
from collections import defaultdict
from collections.abc import Iterable

from workloads.history.evaluation_effects import PROMPTS
from workloads.history.history import Kind, Operation
from workloads.history.trace_effects import is_trace


class Attempted:
    """Ids and names that a run's own operations created or wrote to."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.runs: set[str] = set()
        self.models: set[str] = set()
        self.registered: set[str] = set()
        self.versions: dict[str, set[str]] = defaultdict(set)
        """Ids of model versions, as `churn/3`, by their model's name."""
        self.metrics: dict[str, set[str]] = defaultdict(set)
        """Metric keys by run."""
        self.experiments: dict[str, set[str]] = defaultdict(set)
        """Keys of the tags of experiments that were written to."""
        self.with_files: set[str] = set()
        """Runs, logged models and traces that artifacts were sent to."""
        self.traces: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
        """The values that were sent of each span, by trace and span."""
        self.traced: set[str] = set()
        """Experiments that traces were sent to."""
        self.links: dict[str, set[str]] = defaultdict(set)
        """Traces that were linked, by the run that they were to."""
        self.assessments: dict[str, set[str]] = defaultdict(set)
        """Ids of assessments, as `tr-…/a-…`, by their trace."""
        self.datasets: set[str] = set()
        self.records: dict[str, set[str]] = defaultdict(set)
        """Digests of the inputs of records by evaluation dataset."""
        self.linked_prompts: set[str] = set()
        """Prompt versions that traces were linked to, as `prompts:/name/3`."""
        for operation in operations:
            self._note(operation)

    def _note(self, operation: Operation) -> None:
        made = operation.created
        experiment = " experiments/" in operation.name
        for write in operation.writes:
            owner = write.owner or made
            if experiment and owner:
                keys = self.experiments[owner]
                if write.kind is Kind.TAG:
                    keys.add(write.key)
                continue
            match write.kind:
                case Kind.RUN if made:
                    self.runs.add(made)
                case Kind.MODEL if made:
                    self.models.add(made)
                case Kind.VERSION if made and write.owner:
                    self.versions[write.owner].add(made)
                case Kind.ASSESSMENT if made and write.owner:
                    self.assessments[write.owner].add(made)
                case Kind.EVALUATION_DATASET if made:
                    self.datasets.add(made)
                case Kind.RECORD if owner:
                    self.records[owner].add(write.key)
                case Kind.LINK if owner and owner.startswith(PROMPTS):
                    self.linked_prompts.add(owner)
                case Kind.REGISTERED if write.value:
                    self.registered.add(write.key)
                case Kind.METRIC if owner:
                    self.metrics[owner].add(sys.intern(write.key))
                case Kind.ARTIFACT if owner:
                    self.with_files.add(owner)
                case Kind.TRACE if owner:
                    self.traced.add(owner)
                    self.traces[write.key]
                case Kind.SPAN if owner and write.value:
                    sent = self.traces[owner].get(write.key, ())
                    if write.value not in sent:
                        self.traces[owner][write.key] = (*sent, write.value)
                case Kind.LINK if owner:
                    self.links[owner].add(write.key)
                case Kind.TAG | Kind.FIELD if owner and is_trace(owner):
                    self.traces[owner]
