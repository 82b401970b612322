"""What is observed while the load goes on, as events of the history."""

from docker.errors import DockerException

from workloads import error_summary
from workloads.history.history import History
from workloads.observation import balancer
from workloads.observation.child_process import ChildProcess
from workloads.observation.probe import Probe
from workloads.observation.resources import MachineObserver, ResourceObserver
from workloads.plan.plan import Plan
from workloads.scenarios import SCENARIOS
from workloads.target import server_processes
from workloads.target.pods import ClusterError
from workloads.target.target import Subject


class Observers:
    """Observers of the system under test, on this machine.

    To be created before anything runs on the event loop, as they are forked.
    """

    def __init__(self, subject: Subject, plan: Plan, writer: History) -> None:
        self._target = subject.target
        self._writer = writer
        self._observers = self._forked(subject, plan)

    def _forked(self, subject: Subject, plan: Plan) -> list[ChildProcess]:
        observers: list[ChildProcess] = [ResourceObserver(subject, self._writer)]
        if SCENARIOS[plan.scenario].breaks:
            observers.append(Probe(plan, self._writer))
        return observers

    def start(self) -> None:
        """Start them, and record the servers' processes."""
        for observer in self._observers:
            observer.start()
        self.look_at_servers()

    def look_at_servers(self) -> None:
        """Record which processes the servers have."""
        self._writer.event("server", processes=server_processes.processes(self._target))

    def look_at_balancer(self, spans: list[balancer.Span]) -> None:
        """Record what the load balancer's log says of these stages."""
        if self._target is None:
            return
        try:
            for summary in balancer.replicas(self._target, spans):
                self._writer.event("balancer", **summary)
        except (DockerException, ClusterError, OSError) as error:
            reason = f"the balancer's log was not read: {error_summary(error)}"
            self._writer.event("not_done", said=reason)

    def stop(self) -> None:
        """End them; what was being written is written."""
        for observer in self._observers:
            observer.stop()

    def kill(self) -> None:
        """End them at once."""
        for observer in self._observers:
            observer.kill()


class PodObservers(Observers):
    """Observers in the pod of the load: of its node alone, the rest is observed from outside."""

    def _forked(self, _subject: Subject, _plan: Plan) -> list[ChildProcess]:
        return [MachineObserver(self._writer)]

    def look_at_servers(self) -> None:
        """Leave it to the outside."""

    def look_at_balancer(self, spans: list[balancer.Span]) -> None:
        """Leave it to the outside."""
