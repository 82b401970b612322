"""A stack on Kubernetes, as a backup reaches its pods."""

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from kubernetes.client import AppsV1Api, BatchV1Api
from kubernetes.client.exceptions import ApiException

from infra.labels import LABEL_COMPONENT
from infra.outputs import Component, Target
from scripts.archive import RefusedError
from workloads.target.pod_exec import exec_in_pod
from workloads.target.pods import ClusterError, Pods

READY_SECONDS = 300
ASKED_S = 30
NOT_FOUND = 404
SCHEMA_JOB = "schema-job"
LABEL_NAME = "app.kubernetes.io/name"

# The other end learns of the end of its input by its size: an older cluster has no other way.
_TAKE = 'head --bytes="$1" | "${@:2}"'


class OnKubernetes:
    """Runs commands in pods; the methods are those of `host.Host`."""

    def __init__(self, target: Target) -> None:
        try:
            self._pods = Pods(target)
        except ClusterError as error:
            raise RefusedError(str(error)) from None
        self._target = target
        client = self._pods.core.api_client
        self._apps: Any = AppsV1Api(client)
        self._jobs: Any = BatchV1Api(client)
        self._namespace = self._pods.namespace

    def run(
        self,
        component: Component,
        *command: str,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> str:
        """Run a command in the component's pod."""
        try:
            pod = self._pods.find().get(component.name)
        except ClusterError as error:
            raise RefusedError(str(error)) from None
        if pod is None:
            raise RefusedError(f"{component.name} has no pod that is ready")
        argv = list(command)
        if stdin is not None:
            size = stdin.seek(0, io.SEEK_END)
            stdin.seek(0)
            argv = ["bash", "-euo", "pipefail", "-c", _TAKE, "bash", str(size), *argv]
        output = stdout or io.BytesIO()
        with _one_line(command[0]):
            message = exec_in_pod(self._pods, pod.metadata.name, argv, stdin, output)
        if message:
            raise RefusedError(f"{command[0]} in {pod.metadata.name}: {message}")
        return "" if stdout else output.getvalue().decode()  # type: ignore[attr-defined]

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Have no replica meanwhile; an autoscaler rests where there is none."""
        [name] = {
            c.container.rpartition("/")[2] for c in self._target.components if c.kind == "mlflow"
        }
        with _one_line(name):
            scale = self._apps.read_namespaced_deployment_scale(name, self._namespace)
        replicas = int(scale.spec.replicas)
        self._scale(name, 0)
        try:
            self._until(lambda: not self._pods_of(name), "the replicas have ended")
            yield
        finally:
            self._scale(name, replicas)
        self._until(lambda: self._ready(name) >= replicas, "the replicas are ready")

    def alone(
        self, name: str, component: Component, command: Callable[[Sequence[str]], list[str]]
    ) -> str:
        """Run a command as a job, in a pod with all that the component's has but its port."""
        deployment = component.container.rpartition("/")[2]
        with _one_line(deployment):
            found = self._apps.read_namespaced_deployment(deployment, self._namespace)
        pod = found.spec.template
        labels = {**pod.metadata.labels, LABEL_COMPONENT: name, LABEL_NAME: name}
        pod.metadata.labels = labels  # no Service leads to it
        pod.spec.restart_policy = "Never"
        pod.spec.topology_spread_constraints = None
        container = pod.spec.containers[0]
        container.name = name
        container.args = command(container.args)
        container.ports = container.lifecycle = None
        container.startup_probe = container.readiness_probe = container.liveness_probe = None
        return self._run_job(name, labels, pod, None)

    def run_schema_job(self) -> str:
        """Run the stack's job once more, beside the one that has ended."""
        with _one_line("the schema job"):
            job = self._jobs.read_namespaced_job(SCHEMA_JOB, self._namespace)
        pod = job.spec.template
        for label in list(pod.metadata.labels):
            if "job-name" in label or "controller-uid" in label:
                del pod.metadata.labels[label]
        name = f"{SCHEMA_JOB}-again"
        return self._run_job(name, job.metadata.labels, pod, READY_SECONDS)

    def schema_job_log(self) -> str:
        """Read the log of the job's pod."""
        with _one_line("the schema job"):
            return self._log(SCHEMA_JOB)

    def _run_job(self, name: str, labels: dict[str, str], pod: Any, seconds: float | None) -> str:
        """Run a pod as a job that is removed at the end; return what it printed.

        One of this name that has ended, as of a command that was killed, is removed.
        """
        self._remove_former(name)
        body = {
            "metadata": {"name": name, "labels": labels},
            "spec": {"backoffLimit": 0, "template": pod},
        }
        with _one_line(name):
            self._jobs.create_namespaced_job(self._namespace, body, _request_timeout=ASKED_S)
        try:
            self._until(lambda: self._ended(name), f"{name} has ended", seconds)
            return self._log(name)
        finally:
            self._remove_job(name)

    def _remove_former(self, name: str) -> None:
        with _one_line(name):
            status = self._job_status(name)
        if status is None:
            return
        if not (status.succeeded or status.failed):
            raise RefusedError(f"job {name} is at work already: wait for it")
        self._remove_job(name)
        self._until(lambda: self._job_status(name) is None, f"the former job {name} is gone")

    def _remove_job(self, name: str) -> None:
        with _one_line(name):
            self._jobs.delete_namespaced_job(name, self._namespace, propagation_policy="Foreground")

    def _job_status(self, name: str) -> Any:
        """Return the status of a job; None: there is none of this name."""
        try:
            return self._jobs.read_namespaced_job_status(name, self._namespace).status
        except ApiException as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def _ended(self, name: str) -> bool:
        status = self._jobs.read_namespaced_job_status(name, self._namespace).status
        if status.failed:
            raise RefusedError(f"{name}: {self._last_words(name)}")
        return bool(status.succeeded)

    def _last_words(self, job: str) -> str:
        return (self._log(job).strip().splitlines() or ["no message"])[-1]

    def _log(self, job: str) -> str:
        pods = self._pods.core.list_namespaced_pod(
            self._namespace, label_selector=f"job-name={job}"
        )
        return "".join(
            self._pods.core.read_namespaced_pod_log(pod.metadata.name, self._namespace)
            for pod in pods.items
        )

    def _pods_of(self, name: str) -> list[Any]:
        label = f"{LABEL_COMPONENT}={name}"
        pods = self._pods.core.list_namespaced_pod(self._namespace, label_selector=label)
        return list(pods.items)

    def _scale(self, name: str, replicas: int) -> None:
        with _one_line(name):
            self._apps.patch_namespaced_deployment_scale(
                name, self._namespace, {"spec": {"replicas": replicas}}
            )

    def _ready(self, name: str) -> int:
        deployment = self._apps.read_namespaced_deployment_status(name, self._namespace)
        return int(deployment.status.ready_replicas or 0)

    def _until(
        self, condition: Callable[[], bool], what: str, seconds: float | None = READY_SECONDS
    ) -> None:
        began = time.monotonic()
        with _one_line(what):
            while not condition():
                if seconds is not None and time.monotonic() - began > seconds:
                    raise RefusedError(f"waited {seconds:g} s in vain until {what}")
                time.sleep(0.5)


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise RefusedError(f"{what}: the cluster refuses: {error.status} {error.reason}") from None
    except OSError as error:
        raise RefusedError(f"{what}: the cluster does not answer: {error}") from None
