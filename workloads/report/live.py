"""The view of a run while it goes on: a live line on a terminal, else a plain line now and then.

Its rates and latencies are Locust's rounded ones: for the eye, and never for the verdict.
"""

import time
from types import TracebackType

from locust.stats import RequestStats
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from workloads.load.backlog import Sent
from workloads.plan.plan import Plan
from workloads.report.terminal import PLAIN, UNKNOWN
from workloads.web import Figures, Web

PLAIN_EVERY_S = 5.0


class LiveView:
    """Shows the phase, its progress and time left, and the load's rate, errors and p95."""

    def __init__(self, plan: Plan, console: Console | None = None, web: Web | None = None) -> None:
        self._web = web
        self._console = console or Console()
        self._plan = plan
        self._name = ""
        self._seconds: float | None = None
        self._since = self._printed = time.monotonic()
        self._figures = ""
        self._live: Live | None = None
        if self._console.is_terminal:
            self._live = Live(console=self._console, transient=True, auto_refresh=False)

    def __enter__(self) -> "LiveView":
        plan = self._plan
        self._console.print(
            f"{plan.scenario} against {plan.subject} ({plan.tracking_uri}): "
            f"{plan.profile.users} users, profile {plan.profile_name}, seed {plan.seed}",
            highlight=False,
            soft_wrap=True,
        )
        if self._live:
            self._live.start()
        if self._web:
            self._web.begin(plan)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def phase(self, name: str, seconds: float | None) -> None:
        """Begin a phase of so many seconds, None if that is not known."""
        self._name, self._seconds, self._figures = name, seconds, ""
        self._since = time.monotonic()
        if self._web:
            self._web.phase(name, seconds)
        self._show(at_once=True)

    def load(self, stats: RequestStats, sent: Sent | None = None) -> None:
        """Show what Locust has counted so far, and what clients have sent of traces."""
        total = stats.total
        p95 = total.get_current_response_time_percentile(0.95) if total.num_requests else None
        shown = UNKNOWN if p95 is None else f"{p95:.0f} ms"
        self._figures = (
            f"{total.current_rps:.0f} calls/s   {total.num_failures} errors   p95 {shown}"
        )
        if sent:
            self._figures += f"   {sent.spans} spans sent, {sent.unsent} waiting"
            self._figures += f", {sent.dropped} dropped" if sent.dropped else ""
        if self._web:
            self._web.load(stats, sent)
        self._show()

    def figures(self, text: str) -> None:
        """Show figures that were put into words elsewhere."""
        self._figures = text
        if self._web:
            self._web.figures(text)
        self._show()

    def load_elsewhere(self, text: str, figures: Figures) -> None:
        """Show a load that another machine counts: in words, and its figures on the page."""
        self._figures = text
        if self._web:
            self._web.show(figures)
        self._show()

    def progress(self, done: int, total: int) -> None:
        """Show how many of all are done."""
        self.figures(f"{done} of {total}")

    def _show(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if self._live:
            self._live.update(self._picture(now - self._since), refresh=True)
        elif at_once or now - self._printed >= PLAIN_EVERY_S:
            self._printed = now
            left = "" if self._seconds is None else f" {self._left(now - self._since):.0f} s left"
            self._console.print(f"{self._name}{left}  {self._figures}".rstrip(), **PLAIN)

    def _left(self, elapsed: float) -> float:
        return max(0.0, (self._seconds or 0.0) - elapsed)

    def _picture(self, elapsed: float) -> Table:
        bar = Progress(
            TextColumn("[bold]{task.description:<12}"),
            BarColumn(30),
            TextColumn("{task.fields[left]:>9}"),
            TextColumn("{task.fields[figures]}"),
            auto_refresh=False,
        )
        left = "" if self._seconds is None else f"{self._left(elapsed):.0f} s left"
        bar.add_task(
            self._name,
            total=self._seconds,
            completed=int(min(elapsed, self._seconds or 0)),
            left=left,
            figures=self._figures,
        )
        return bar.make_tasks_table(bar.tasks)
