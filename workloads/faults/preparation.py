"""A stack before a run with faults: nothing left of an earlier one, and the proxy in its place."""

# Locust patches the standard library for gevent when it is imported: before everything else.
import locust  # noqa: F401

# isort: split

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from docker.errors import DockerException

from workloads import CannotRunError, error_summary
from workloads.faults import leftovers, toxiproxy
from workloads.faults.catalogue import named
from workloads.target.target import Subject


@contextmanager
def ready(
    subject: Subject, names: tuple[str, ...], say: Callable[[str], None]
) -> Iterator[Subject]:
    """Heal what is left of earlier faults; stand a proxy in front where one of `names` needs it.

    Gives the subject at the address that clients have to use; the proxy is removed at the end.
    Raises `CannotRunError` where that cannot be done.
    """
    for line in leftovers.heal(subject.target):
        say(f"left of an earlier run: {line}")
    if subject.target is None or not any(named(name).needs_proxy for name in names):
        yield subject
        return
    say("Toxiproxy stands between the clients and the stack, from the baseline on")
    try:
        before = toxiproxy.start(subject.target)
    except (DockerException, OSError) as error:
        raise CannotRunError(f"the proxy did not start: {error_summary(error)}") from None
    try:
        yield replace(subject, tracking_uri=before.address)
    finally:
        toxiproxy.remove(subject.target)
