"""`docker.Container`."""

import re
import time
from contextlib import suppress
from typing import Any

from docker.errors import APIError, NotFound

from scripts.offline.plugins.docker_resources.container import (
    checks,
    config,
    read_back,
    uploads,
    waiting,
)
from scripts.offline.plugins.docker_resources.container import state as container_state
from scripts.offline.plugins.docker_resources.container.table import TABLE
from scripts.offline.plugins.docker_resources.image import find_or_pull
from scripts.offline.plugins.docker_resources.shared import (
    DockerResource,
    conflict,
    is_leftover,
    labels_from,
)
from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call, CreateResult, ReadResult
from scripts.offline.plugins.protocol.schema import Difference, Failure

REMOVAL_SECONDS = 30.0


class Container(DockerResource):
    """A container."""

    token = "docker:index/container:Container"
    autonamed = True
    delete_before_replace = True
    computed = container_state.COMPUTED
    table = TABLE

    def check(self, inputs: Properties) -> list[Failure]:
        """Rules over several properties."""
        return checks.check(inputs)

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Create and start it, and wait as long as the program says."""
        find_or_pull(call, self.api, inputs["image"])
        id_ = self._create(call, inputs)
        self._connect(id_, inputs)
        if files := inputs.get("uploads"):
            uploads.put(self.api, id_, files)
        if inputs["start"]:
            call.proceed()
            self._start(call, id_, inputs)
        live = self.api.inspect_container(id_)
        read_back.refuse_other_forms(live, inputs)
        outputs = container_state.outputs(live, inputs)
        if inputs["attach"] and inputs["logs"]:
            outputs["containerLogs"] = call.scrub(waiting.output(self.api, id_))
        return CreateResult(id_, outputs)

    def _create(self, call: Call, inputs: Properties) -> str:
        name, body = inputs["name"], config.body(inputs)
        while True:
            try:
                id_: str = self.api.create_container_from_config(body, name)["Id"]
                break
            except APIError as problem:
                holder = self._inspect(name) if problem.status_code == 409 else None
                if holder is None:
                    raise
                if not is_leftover(labels_from(inputs), holder["Config"]["Labels"]):
                    raise conflict("container", name, holder["Id"]) from None
                self._remove(call, holder["Id"], volumes=True)
        call.on_failure(lambda: self._remove(None, id_, volumes=True))
        return id_

    def _connect(self, id_: str, inputs: Properties) -> None:
        """Connect it to its networks instead of Docker's own, as the official plugin does."""
        networks = inputs.get("networksAdvanced") or []
        if networks:
            self.api.disconnect_container_from_network(id_, "bridge")
        for network in networks:
            options = config.connect_options(network)
            self.api.connect_container_to_network(id_, network["name"], **options)

    def _start(self, call: Call, id_: str, inputs: Properties) -> None:
        try:
            self.api.start(id_)
        except APIError as problem:
            raise RefusedError(self._start_refused(problem)) from None
        if inputs["attach"]:
            waiting.until_ended(call, self.api, id_)
        elif inputs["wait"]:
            waiting.until_healthy(call, self.api, id_, inputs["waitTimeout"])
        elif inputs["mustRun"]:
            allowed = inputs["containerReadRefreshTimeoutMilliseconds"] / 1000
            waiting.until_running(call, self.api, id_, allowed)

    def _start_refused(self, problem: Any) -> str:
        reason = str(problem.explanation or problem)
        message = f"the container cannot start: {reason}"
        match = re.search(r"(?:Bind for|listen tcp4?) \S*?:(\d+)", reason)
        if match is None:
            return message
        port = int(match[1])
        holders = [
            container["Names"][0].lstrip("/")
            for container in self.api.containers()
            if any(published.get("PublicPort") == port for published in container["Ports"])
        ]
        holder = f"container '{holders[0]}'" if holders else "another process"
        return f"port {port} is taken by {holder}: stop it, or choose another port ({reason})"

    def read(
        self, call: Call, id_: str, inputs: Properties | None, state: Properties
    ) -> ReadResult | None:
        """A container with this id is as it was made, but for what Docker lets people change."""
        if inputs is None:
            return super().read(call, id_, inputs, state)
        live = self._inspect(id_)
        if live is None:
            return None
        outputs = container_state.outputs(live, inputs)
        if "containerLogs" in state:
            outputs["containerLogs"] = state["containerLogs"]
        return ReadResult(id_, container_state.inputs_now(inputs, live), outputs)

    def update(
        self, call: Call, id_: str, old: Properties, new: Properties, state: Properties
    ) -> Properties:
        """Change limits and restart policy, and start it where it had stopped and must run."""
        # Where the program says no swap, the official plugin keeps what was read back.
        swap = {"memorySwap": new.get("memorySwap") or state.get("memorySwap")}
        changes = config.limits(new | swap)
        # Docker restarts no container that it removes.
        policy = None if new["rm"] else config.restart_policy(new)
        self.api.update_container(id_, **changes, restart_policy=policy)
        stopped = not self.api.inspect_container(id_)["State"]["Running"]
        if stopped and new["start"] and new["mustRun"] and not old["mustRun"]:
            self._start(call, id_, new)
        outputs = container_state.outputs(self.api.inspect_container(id_), new)
        if "containerLogs" in state:
            outputs["containerLogs"] = state["containerLogs"]
        return outputs

    def unknown_after_update(self, differences: list[Difference]) -> tuple[str, ...]:
        """A container that is started again gets new addresses."""
        restarts = any(difference.name == "mustRun" for difference in differences)
        return ("networkDatas", "exitCode") if restarts else ()

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """Stop it with the grace it was given, and remove it."""
        grace = state.get("destroyGraceSeconds")
        if grace and not state["attach"]:
            with suppress(NotFound):
                self.api.stop(id_, timeout=grace)
        self._remove(call, id_, volumes=state["removeVolumes"])

    def _inspect(self, id_: str) -> dict[str, Any] | None:
        try:
            container: dict[str, Any] = self.api.inspect_container(id_)
        except NotFound:
            return None
        return container

    def _remove(self, call: Call | None, id_: str, *, volumes: bool) -> None:
        """Remove it now. Someone else may be at it already: then wait until it is gone."""
        try:
            self.api.remove_container(id_, v=volumes, force=True)
            return
        except NotFound:
            return
        except APIError as problem:
            if problem.status_code != 409:
                raise
        end = time.monotonic() + REMOVAL_SECONDS
        while self._inspect(id_) is not None:
            if time.monotonic() > end:
                raise RefusedError(
                    f"container {id_[:12]} is being removed but still there after "
                    f"{REMOVAL_SECONDS:.0f} s: see `docker ps -a`"
                )
            if call is not None:
                call.proceed()
            time.sleep(0.1)
