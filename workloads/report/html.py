"""The result as one HTML file."""

from workloads.history import Record
from workloads.result import Result


def render(result: Result, record: Record) -> str:
    """Render the report."""
    return "<!doctype html>"
