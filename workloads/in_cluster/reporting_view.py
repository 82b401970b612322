"""The live view in the Job's pod, which the machine outside shows."""

import time
from collections.abc import Callable

from locust.stats import RequestStats

from workloads.load.backlog import Sent
from workloads.plan.plan import Plan
from workloads.report.live import LiveView
from workloads.web import figures_of

REPORT_S = 1.0


class ReportingView(LiveView):
    """Reports what a live view and its page would show, a load once a second."""

    def __init__(self, plan: Plan, report: Callable[..., None]) -> None:
        super().__init__(plan)
        self._report = report
        self._stats: RequestStats | None = None
        self._sent: Sent | None = None

    def load(self, stats: RequestStats, sent: Sent | None = None) -> None:
        """Show what Locust has counted so far, and what clients have sent of traces."""
        self._stats, self._sent = stats, sent
        super().load(stats, sent)
        self._stats = self._sent = None

    def _show(self, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._printed >= REPORT_S:
            self._printed = time.monotonic()
            load = figures_of(self._stats, self._sent) if self._stats else None
            self._report(phase=self._name, seconds=self._seconds, figures=self._figures, load=load)
