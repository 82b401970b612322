"""The Job whose pod loads: made, followed and removed again, with all that belongs to it."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from kubernetes.client import BatchV1Api
from kubernetes.client.exceptions import ApiException
from websocket import WebSocketException

from infra.outputs import Target
from workloads import inside
from workloads.errors import CannotRunError
from workloads.inside.files import PLAN, RESULTS, SOURCES, seal
from workloads.inside.pod import NAME, REMOVED, ROOM_S, manifest, trouble
from workloads.plan import Plan
from workloads.pods import (
    TIMEOUT_S,
    ClusterError,
    Pods,
    one_line,
)
from workloads.talk import talk

LABEL_JOB = "batch.kubernetes.io/controller-uid"
"""Kubernetes' own label of a Job's pods."""

ASKED: dict[str, Any] = {"_request_timeout": TIMEOUT_S}
POLL_S = 1.0
SILENT_S = 60.0
"""How long the cluster may not answer while the load goes on."""
GONE_S = 60.0
TRIES = 3


@dataclass(frozen=True)
class Word:
    """A line of the pod, and the times of this machine's Unix clock between which it came."""

    said: dict[str, Any]
    after_ns: int
    before_ns: int


class Job:
    """The Job of one load, for as long as the context lasts; raises `CannotRunError`."""

    def __init__(self, target: Target, plan: Plan) -> None:
        assert target.cluster
        self._target = target
        self._plan = plan
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def words(self) -> Iterator[Word | None]:
        """Yield once a second what the pod said last; None while it has said nothing."""
        began = answered = time.monotonic()
        looked_ns = time.time_ns()
        word = None
        while True:
            now_ns = time.time_ns()
            try:
                said = self._look(time.monotonic() - began)
            except ClusterError as error:
                if time.monotonic() - answered > SILENT_S:
                    raise CannotRunError(f"the load's pod is out of sight: {error}") from None
            else:
                if said and (word is None or said != word.said):
                    word = Word(said, looked_ns, time.time_ns())
                answered, looked_ns = time.monotonic(), now_ns
            yield word
            time.sleep(POLL_S)

    def take(self, name: str, size: int, digest: str, path: Path) -> None:
        """Copy a file of the pod; raises `CannotRunError` if it cannot be had as it is there."""
        said = ""
        for _ in range(TRIES):
            try:
                with one_line(), path.open("wb") as file:
                    said = talk(self._pods, self._pod, ["cat", str(RESULTS / name)], None, file)
            except (ClusterError, WebSocketException) as error:
                said = str(error)
            if seal(path) == (size, digest):
                return
        raise CannotRunError(f"{name} did not come whole from the load's pod: {said or 'torn'}")

    def _make(self) -> None:
        plan = {PLAN: self._plan.model_dump_json(), SOURCES: inside.sources()}
        body = manifest(self._target, self._plan.processes)
        with one_line():
            try:
                job = self._batch.create_namespaced_job(self._pods.namespace, body, **ASKED)
            except ApiException as error:
                if error.status != 409:
                    raise
                raise CannotRunError(
                    f"job/{NAME} is there: another load runs, or its end was not seen; wait, or "
                    f"remove it: {self._by_hand}"
                ) from None
            self._uid = job.metadata.uid
            # It goes with the Job, however that goes.
            owner: dict[str, Any] = {"apiVersion": "batch/v1", "kind": "Job", "name": NAME}
            owner |= {"uid": self._uid, "blockOwnerDeletion": True}
            metadata = body["metadata"] | {"ownerReferences": [owner]}
            self._pods.core.create_namespaced_config_map(
                self._pods.namespace, {"metadata": metadata, "data": plan}, **ASKED
            )

    def _look(self, waited_s: float) -> dict[str, Any] | None:
        """Return the last thing that the pod told; None: nothing yet."""
        with one_line():
            found = self._pods.core.list_namespaced_pod(
                self._pods.namespace, label_selector=f"{LABEL_JOB}={self._uid}", **ASKED
            ).items
        # Another one would be made for it, and not be the one that was followed.
        pod = next((one for one in found if self._pod in ("", one.metadata.name)), None)
        if pod is None:
            if self._pod or waited_s > ROOM_S:
                why = REMOVED if self._pod else "it was not made: see its namespace's events"
                raise CannotRunError(f"the load's pod: {why}")
            return None
        self._pod = pod.metadata.name
        lines = self._log() if pod.status.phase != "Pending" else []
        told = [json.loads(line) for line in lines if line.startswith("{")]
        if wrong := trouble(pod, waited_s):
            told_why = lines and wrong != REMOVED and not lines[-1].startswith("{")
            last = f": {lines[-1]}" if told_why else ""
            raise CannotRunError(f"the load's pod: {wrong}{last}")
        return dict(told[-1]) if told else None

    def _log(self) -> list[str]:
        with one_line():
            answer = self._pods.core.read_namespaced_pod_log(
                self._pod, self._pods.namespace, tail_lines=20, _preload_content=False, **ASKED
            )
        return str(answer.data.decode(errors="replace")).splitlines()

    def _remove(self) -> None:
        """Remove the Job with its pod and its plan, and wait until they are gone."""
        deadline = time.monotonic() + GONE_S
        try:
            with one_line():
                self._batch.delete_namespaced_job(
                    NAME, self._pods.namespace, propagation_policy="Foreground", **ASKED
                )
                while time.monotonic() < deadline:
                    self._batch.read_namespaced_job(NAME, self._pods.namespace, **ASKED)
                    time.sleep(POLL_S / 4)
        except ClusterError as error:
            if error.absent:
                return
            raise CannotRunError(f"{error}; remove job/{NAME} by hand: {self._by_hand}") from None
        raise CannotRunError(f"job/{NAME} does not go; remove it by hand: {self._by_hand}")
