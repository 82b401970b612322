"""`docker.Volume`."""

from collections.abc import Mapping
from typing import Any, ClassVar

from docker.errors import NotFound

from scripts.offline.plugins.docker_resources.shared import (
    LABELS,
    DockerResource,
    conflict,
    docker_name,
    is_leftover,
    labels_from,
    labels_to,
    remove_when_free,
)
from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call, CreateResult, ReadResult
from scripts.offline.plugins.protocol.schema import Prop, text, text_map


class Volume(DockerResource):
    """A volume. Docker cannot change one, so every change replaces it, and its data with it."""

    token = "docker:index/volume:Volume"
    autonamed = True
    computed = ("mountpoint",)
    table: ClassVar[Mapping[str, Prop]] = {
        "name": text(rule=docker_name),
        "driver": text(default="local", kept=True),
        "driverOpts": text_map(),
        "labels": LABELS,
    }

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Create it, or adopt what an interrupted create left; never anybody else's data."""
        name, labels = inputs["name"], labels_from(inputs)
        existing = self._inspect(name)
        if existing is not None:
            if not is_leftover(labels, existing["Labels"]):
                raise conflict("volume", name)
            requested = (inputs["driver"], inputs.get("driverOpts") or {})
            if (existing["Driver"], existing["Options"] or {}) != requested:
                raise RefusedError(
                    f"volume '{name}' is left from before, with another driver or options: "
                    f"remove it and its data (`docker volume rm {name}`) or choose another name"
                )
            return CreateResult(name, {"mountpoint": existing["Mountpoint"]})
        made = self.api.create_volume(name, inputs["driver"], inputs.get("driverOpts"), labels)
        call.on_failure(lambda: self.api.remove_volume(made["Name"]))
        return CreateResult(made["Name"], {"mountpoint": made["Mountpoint"]})

    def _inspect(self, name: str) -> dict[str, Any] | None:
        try:
            volume: dict[str, Any] = self.api.inspect_volume(name)
        except NotFound:
            return None
        return volume

    def read(
        self, call: Call, id_: str, inputs: Properties | None, state: Properties
    ) -> ReadResult | None:
        """A volume of this name may be another one by now, so its settings are compared."""
        live = self._inspect(id_)
        if live is None:
            return None
        written: Properties = {
            "name": live["Name"],
            "driver": live["Driver"],
            "driverOpts": live["Options"],
            "labels": labels_to(live["Labels"]),
        }
        volume_inputs = {name: value for name, value in written.items() if value}
        if inputs is not None and "driver" not in inputs and live["Driver"] == "local":
            del volume_inputs["driver"]
        if inputs is not None and labels_from(inputs) == (live["Labels"] or {}):
            volume_inputs |= {
                "labels": inputs.get("labels")
            }  # in the order in which they were written
        return ReadResult(live["Name"], volume_inputs, {"mountpoint": live["Mountpoint"]})

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """Remove it once no container uses it."""
        remove_when_free(call, f"volume '{id_}'", lambda: self.api.remove_volume(id_))
