"""All that is watched while the load goes on, and written to a history."""

from docker.errors import DockerException

from workloads import servers
from workloads.errors import summary
from workloads.history import History
from workloads.observation import balancer
from workloads.observation.forked import Forked
from workloads.observation.observer import NodeObserver, Observer
from workloads.observation.probe import Probe
from workloads.plan import Plan
from workloads.pods import ClusterError
from workloads.scenarios import SCENARIOS
from workloads.target import Subject


class Beside:
    """The system under test, from this machine.

    To be made before anything runs on the event loop: its observers are forked.
    """

    def __init__(self, subject: Subject, plan: Plan, writer: History) -> None:
        self._target = subject.target
        self._writer = writer
        self._observers = self._forked(subject, plan)

    def _forked(self, subject: Subject, plan: Plan) -> list[Forked]:
        observers: list[Forked] = [Observer(subject, self._writer)]
        if SCENARIOS[plan.scenario].breaks:
            observers.append(Probe(plan, self._writer))
        return observers

    def start(self) -> None:
        """Begin, and look at the servers' processes."""
        for observer in self._observers:
            observer.start()
        self.look_at_servers()

    def look_at_servers(self) -> None:
        """Write down which processes there are."""
        self._writer.event("server", processes=servers.processes(self._target))

    def look_at_balancer(self, spans: list[balancer.Span]) -> None:
        """Write down what the load balancer's log says of these stages."""
        if self._target is None:
            return
        try:
            for found in balancer.replicas(self._target, spans):
                self._writer.event("balancer", **found)
        except (DockerException, ClusterError, OSError) as error:
            said = f"the balancer's log was not read: {summary(error)}"
            self._writer.event("not_done", said=said)

    def stop(self) -> None:
        """End; what was being written is written."""
        for observer in self._observers:
            observer.stop()

    def kill(self) -> None:
        """End now."""
        for observer in self._observers:
            observer.kill()


class BesidePod(Beside):
    """In the pod that loads: the machine alone, as the rest is watched from outside."""

    def _forked(self, _subject: Subject, _plan: Plan) -> list[Forked]:
        return [NodeObserver(self._writer)]

    def look_at_servers(self) -> None:
        """Leave it to the outside."""

    def look_at_balancer(self, spans: list[balancer.Span]) -> None:
        """Leave it to the outside."""
