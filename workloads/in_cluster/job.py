"""The Job whose pod loads: created, followed, and removed with all that belongs to it."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.client import BatchV1Api
from kubernetes.client.exceptions import ApiException
from websocket import WebSocketException

from infra.outputs import Target
from workloads import CannotRunError, in_cluster
from workloads.in_cluster.job_manifest import NAME, REMOVED, SCHEDULING_S, failure_of, manifest
from workloads.in_cluster.pod_files import PLAN, RESULTS, SOURCES, checksum
from workloads.plan.plan import Plan
from workloads.target.pod_exec import exec_in_pod
from workloads.target.pods import (
    TIMEOUT_S,
    ClusterError,
    Pods,
    api_errors,
)

LABEL_JOB = "batch.kubernetes.io/controller-uid"
"""Kubernetes' own label of a Job's pods."""

TIMEOUT: dict[str, Any] = {"_request_timeout": TIMEOUT_S}
POLL_S = 1.0
SILENT_S = 60.0
"""Longest time without an answer of the cluster while the load goes on."""
REMOVAL_S = 60.0
TRIES = 3


@dataclass(frozen=True)
class Update:
    """A report of the pod, and the times of this machine's Unix clock between which it came."""

    status: dict[str, Any]
    after_ns: int
    before_ns: int


class Job:
    """The Job of one load, while the context lasts; raises `CannotRunError`."""

    def __init__(self, target: Target, plan: Plan, access: Mapping[str, str]) -> None:
        """Take what clients need to be let in as files by name, for a Secret."""
        assert target.cluster
        self._target = target
        self._plan = plan
        self._access = access
        self._uid = self._pod = ""
        self._by_hand = (
            f"kubectl --context {target.cluster.context} -n {target.cluster.namespace} "
            f"delete job/{NAME}"
        )
        try:
            self._pods = Pods(target)
        except ClusterError as error:
            raise CannotRunError(str(error)) from None
        self._batch: Any = BatchV1Api(self._pods.core.api_client)

    def __enter__(self) -> "Job":
        try:
            self._make()
        except ClusterError as error:
            if self._uid:
                self._remove()
            raise CannotRunError(f"job/{NAME}: {error}") from None
        except KeyboardInterrupt:
            self._remove()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._remove()

    def updates(self) -> Iterator[Update | None]:
        """Yield the pod's last report once a second; None before the first one."""
        began = answered = time.monotonic()
        looked_ns = time.time_ns()
        update = None
        while True:
            now_ns = time.time_ns()
            try:
                status = self._look(time.monotonic() - began)
            except ClusterError as error:
                if time.monotonic() - answered > SILENT_S:
                    raise CannotRunError(f"the load's pod is out of sight: {error}") from None
            else:
                if status and (update is None or status != update.status):
                    update = Update(status, looked_ns, time.time_ns())
                answered, looked_ns = time.monotonic(), now_ns
            yield update
            time.sleep(POLL_S)

    def take(self, name: str, size: int, digest: str, path: Path) -> None:
        """Copy a file of the pod; raises `CannotRunError` if the copy is not complete."""
        error_text = ""
        for _ in range(TRIES):
            try:
                with api_errors(), path.open("wb") as file:
                    error_text = exec_in_pod(
                        self._pods, self._pod, ["cat", str(RESULTS / name)], None, file
                    )
            except (ClusterError, WebSocketException) as error:
                error_text = str(error)
            if checksum(path) == (size, digest):
                return
        raise CannotRunError(
            f"{name} did not come whole from the load's pod: {error_text or 'torn'}"
        )

    def _make(self) -> None:
        plan = {PLAN: self._plan.model_dump_json(), SOURCES: in_cluster.code_digest()}
        body = manifest(self._target, self._plan.processes, with_access=bool(self._access))
        with api_errors():
            try:
                job = self._batch.create_namespaced_job(self._pods.namespace, body, **TIMEOUT)
            except ApiException as error:
                if error.status != 409:
                    raise
                raise CannotRunError(
                    f"job/{NAME} is there: another load runs, or its end was not seen; wait, or "
                    f"remove it: {self._by_hand}"
                ) from None
            self._uid = job.metadata.uid
            # Removed with the Job.
            owner: dict[str, Any] = {"apiVersion": "batch/v1", "kind": "Job", "name": NAME}
            owner |= {"uid": self._uid, "blockOwnerDeletion": True}
            metadata = body["metadata"] | {"ownerReferences": [owner]}
            if self._access:
                secret = {"metadata": metadata, "stringData": dict(self._access)}
                self._pods.core.create_namespaced_secret(self._pods.namespace, secret, **TIMEOUT)
            self._pods.core.create_namespaced_config_map(
                self._pods.namespace, {"metadata": metadata, "data": plan}, **TIMEOUT
            )

    def _look(self, waited_s: float) -> dict[str, Any] | None:
        """Return the pod's last report, None before the first one."""
        with api_errors():
            pods = self._pods.core.list_namespaced_pod(
                self._pods.namespace, label_selector=f"{LABEL_JOB}={self._uid}", **TIMEOUT
            ).items
        # A replacement is not the pod that was followed.
        pod = next(
            (candidate for candidate in pods if self._pod in ("", candidate.metadata.name)), None
        )
        if pod is None:
            if self._pod or waited_s > SCHEDULING_S:
                reason = REMOVED if self._pod else "it was not made: see its namespace's events"
                raise CannotRunError(f"the load's pod: {reason}")
            return None
        self._pod = pod.metadata.name
        lines = self._log() if pod.status.phase != "Pending" else []
        statuses = [json.loads(line) for line in lines if line.startswith("{")]
        if failure := failure_of(pod, waited_s):
            explained = lines and failure != REMOVED and not lines[-1].startswith("{")
            last = f": {lines[-1]}" if explained else ""
            raise CannotRunError(f"the load's pod: {failure}{last}")
        return dict(statuses[-1]) if statuses else None

    def _log(self) -> list[str]:
        with api_errors():
            answer = self._pods.core.read_namespaced_pod_log(
                self._pod, self._pods.namespace, tail_lines=20, _preload_content=False, **TIMEOUT
            )
        return str(answer.data.decode(errors="replace")).splitlines()

    def _remove(self) -> None:
        """Remove the Job with its pod and plan, and wait until they are gone."""
        deadline = time.monotonic() + REMOVAL_S
        try:
            with api_errors():
                self._batch.delete_namespaced_job(
                    NAME, self._pods.namespace, propagation_policy="Foreground", **TIMEOUT
                )
                while time.monotonic() < deadline:
                    self._batch.read_namespaced_job(NAME, self._pods.namespace, **TIMEOUT)
                    time.sleep(POLL_S / 4)
        except ClusterError as error:
            if error.absent:
                return
            raise CannotRunError(f"{error}; remove job/{NAME} by hand: {self._by_hand}") from None
        raise CannotRunError(f"job/{NAME} does not go; remove it by hand: {self._by_hand}")
