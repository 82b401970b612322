"""The pods of a stack on Kubernetes, as faults reach them through its API.

`kill -9` from inside does not reach the first process of a container, which the kernel shields in
its own namespace: a pod that is deleted without grace stands for the crash of a whole pod, and a
signal to the server's own child for that of a process.
"""

from contextlib import suppress
from io import BytesIO
from typing import Any

from kubernetes.client.exceptions import ApiException

from infra.outputs import Component, Target
from workloads.faults.fault import FaultError, Injection
from workloads.faults.processes import LIST, Process, own, parse, worker_process
from workloads.target.pod_exec import exec_in_pod
from workloads.target.pods import Pods

EXEC_S = 30


class OnPod(Injection):
    """A fault on one pod. Healed means that every component has a ready pod again."""

    def __init__(self, target: Target, component: Component | None) -> None:
        assert component is not None
        self.pods = Pods(target)
        self.target = target
        ready = self.pods.find()
        if component.name not in ready:
            raise FaultError(f"{component.name} has no pod that is ready")
        self.name = str(ready[component.name].metadata.name)
        self.began = _run_of(ready[component.name])

    def healed(self) -> bool:
        """Whether every component has a ready pod."""
        return self.pods.find().keys() >= {component.name for component in self.target.components}

    def now(self) -> Any | None:
        """The pod as it is, ready or not; None: it is gone."""
        try:
            return self.pods.core.read_namespaced_pod(
                self.name, self.pods.namespace, _request_timeout=EXEC_S
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def ran_on(self) -> bool:
        """Whether its container is still the run of before."""
        pod = self.now()
        return pod is not None and _run_of(pod) == self.began

    def shell(self, script: str) -> str:
        """Run a bash script in its container; raises `FaultError` with what it said instead."""
        output = BytesIO()
        if error := exec_in_pod(
            self.pods, self.name, ["bash", "-c", script], None, output, timeout_s=EXEC_S
        ):
            raise FaultError(f"{self.name}: {error}")
        return output.getvalue().decode().strip()


class PodKill(OnPod):
    """Deletes the pod without grace; its workload makes another one."""

    def inject(self) -> None:
        """Delete it."""
        self.pods.core.delete_namespaced_pod(
            self.name, self.pods.namespace, grace_period_seconds=0, _request_timeout=EXEC_S
        )

    def in_effect(self) -> bool:
        """Whether its container is gone, or belongs to another pod of that name."""
        return not self.ran_on()


class PodStop(PodKill):
    """Deletes the pod with the grace that it has, as a drained node does."""

    def inject(self) -> None:
        """Delete it."""
        self.pods.core.delete_namespaced_pod(
            self.name, self.pods.namespace, _request_timeout=EXEC_S
        )

    def in_effect(self) -> bool:
        """Whether it is on its way out."""
        pod = self.now()
        return pod is None or pod.metadata.deletion_timestamp is not None or not self.ran_on()


class PodWorkerKill(OnPod):
    """Kills the process that serves, inside the pod; with one worker the container ends with it."""

    victim = 0

    def inject(self) -> None:
        """Send SIGKILL to the youngest worker."""
        self.victim = worker_process(parse(self.shell(LIST))).pid
        # The last worker takes the container with it, and the shell before it has said so.
        with suppress(FaultError):
            self.shell(f"kill -KILL {self.victim}")

    def in_effect(self) -> bool:
        """Whether that process is gone, or its container is."""
        if not self.ran_on():
            return True
        return self.victim not in {process.pid for process in parse(self.shell(LIST))}

    def healed(self) -> bool:
        """Whether another worker runs: the cluster's own word of the container comes later."""
        if not self.ran_on():
            return super().healed()
        worker = worker_process(
            [process for process in parse(self.shell(LIST)) if process.pid != 1]
        )
        return worker.pid != self.victim and super().healed()


class PodFreeze(OnPod):
    """Stops every process below the first one of a replica with SIGSTOP; SIGCONT heals it."""

    def inject(self) -> None:
        """Stop them."""
        self._signal("STOP")

    def in_effect(self) -> bool:
        """Whether all of them stand still, by the kernel's word."""
        states = self._states()
        return bool(states) and set(states) == {"T"}

    def healed(self) -> bool:
        """Whether none stands still, and every component has a ready pod."""
        return super().healed() and not (self.ran_on() and "T" in self._states())

    def heal(self) -> None:
        """Let them go on; a pod that was replaced in between has none to let go on."""
        if self.ran_on():
            self._signal("CONT")

    def _states(self) -> list[str]:
        numbers = " ".join(str(process.pid) for process in self._below())
        script = f"for pid in {numbers}; do grep '^State:' /proc/$pid/status; done"
        return [line.split()[1] for line in self.shell(script).splitlines()]

    def _signal(self, name: str) -> None:
        numbers = " ".join(str(process.pid) for process in self._below())
        self.shell(f"kill -{name} {numbers}")

    def _below(self) -> list[Process]:
        return [process for process in own(parse(self.shell(LIST))) if process.pid != 1]


def _run_of(pod: Any) -> str:
    """What changes when its container is started anew, or the pod is another one."""
    statuses = pod.status.container_statuses or []
    return f"{pod.metadata.uid} {[status.container_id for status in statuses]}"
