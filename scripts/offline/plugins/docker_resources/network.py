"""`docker.Network`."""

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from docker.errors import NotFound
from docker.types import IPAMConfig, IPAMPool

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
from scripts.offline.plugins.protocol.schema import (
    Prop,
    boolean,
    normal,
    records,
    text,
    text_map,
)

IPAM_CONFIG = {"subnet": text(), "gateway": text(), "ipRange": text(), "auxAddress": text_map()}


class Network(DockerResource):
    """A network. Docker cannot change one, so every change replaces it."""

    token = "docker:index/network:Network"
    autonamed = True
    computed = ("scope",)
    table: ClassVar[Mapping[str, Prop]] = {
        "name": text(rule=docker_name),
        "driver": text(default="bridge", kept=True),
        "internal": boolean(default=False, kept=True),
        "attachable": boolean(default=False),
        "ipv6": boolean(default=False),
        "options": text_map(kept=True),
        "labels": LABELS,
        "ipamDriver": text(default="default"),
        "ipamOptions": text_map(),
        "ipamConfigs": records(IPAM_CONFIG, kept=True),
    }

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Create it, or adopt what an interrupted create left."""
        name, labels = inputs["name"], labels_from(inputs)
        if (existing := self._by_name(name)) is not None:
            if not is_leftover(labels, existing["Labels"]):
                raise conflict("network", name, existing["Id"])
            if _covers(inputs, existing):
                return CreateResult(existing["Id"], {"scope": existing["Scope"]})
            self.api.remove_network(existing["Id"])
        pools = [
            IPAMPool(
                subnet=pool.get("subnet"),
                iprange=pool.get("ipRange"),
                gateway=pool.get("gateway"),
                aux_addresses=pool.get("auxAddress"),
            )
            for pool in inputs.get("ipamConfigs") or []
        ]
        made = self.api.create_network(
            name,
            driver=inputs["driver"],
            options=inputs.get("options"),
            ipam=IPAMConfig(inputs["ipamDriver"], pools, inputs.get("ipamOptions")),
            check_duplicate=True,
            internal=inputs["internal"],
            labels=labels,
            enable_ipv6=inputs["ipv6"],
            attachable=inputs["attachable"] or None,
        )
        call.on_failure(lambda: self.api.remove_network(made["Id"]))
        live = self.api.inspect_network(made["Id"])
        _refuse_other_forms(live, inputs)
        return CreateResult(made["Id"], {"scope": live["Scope"]})

    def _by_name(self, name: str) -> dict[str, Any] | None:
        # The filter matches parts of names too.
        networks: list[dict[str, Any]] = self.api.networks(names=[name])
        return next((network for network in networks if network["Name"] == name), None)

    def read(
        self, call: Call, id_: str, inputs: Properties | None, state: Properties
    ) -> ReadResult | None:
        """A network with this id is as it was made; on import its name will do for the id."""
        try:
            live = self.api.inspect_network(id_)
        except NotFound:
            return None
        network_inputs = _written(live) if inputs is None else inputs
        return ReadResult(live["Id"], network_inputs, {"scope": live["Scope"]})

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """Remove it once no container is attached."""
        remove_when_free(call, f"network '{state['name']}'", lambda: self.api.remove_network(id_))


def _refuse_other_forms(live: dict[str, Any], inputs: Properties) -> None:
    """Raise RefusedError for what Docker gives back in another form than it was asked for."""
    written = _written(live)
    for name, prop in Network.table.items():
        if prop.kept and not inputs.get(name):
            continue
        if normal(written.get(name), prop) != normal(inputs.get(name), prop):
            raise RefusedError(
                f"'{name}' is given back by this Docker as {json.dumps(written.get(name))}, which "
                "the official plugin takes for a change for ever: write it so"
            )


def _covers(inputs: Properties, live: dict[str, Any]) -> bool:
    """Whether an existing network is what the inputs ask for."""
    requested = {name: value for name, value in inputs.items() if name != "labels"}
    written = _written(live)
    for name, value in requested.items():
        if name == "ipamConfigs":
            pools = written.get(name, [])
            if not all(any(asked.items() <= pool.items() for pool in pools) for asked in value):
                return False
        elif value not in (None, False, "default", {}) and written.get(name) != value:
            return False
    return True


def _written(live: dict[str, Any]) -> Properties:
    """A network's inputs as if someone had written what is there."""
    ipam = live["IPAM"]
    names = {"Subnet": "subnet", "Gateway": "gateway", "IPRange": "ipRange"}
    pools = [
        {ours: pool[theirs] for theirs, ours in names.items() if pool.get(theirs)}
        | ({"auxAddress": pool["AuxiliaryAddresses"]} if pool.get("AuxiliaryAddresses") else {})
        for pool in ipam["Config"] or []
    ]
    every = {
        "name": live["Name"],
        "driver": live["Driver"],
        "internal": live["Internal"],
        "attachable": live["Attachable"],
        "ipv6": live["EnableIPv6"],
        "options": live["Options"],
        "labels": labels_to(live["Labels"]),
        "ipamDriver": None if ipam["Driver"] == "default" else ipam["Driver"],
        "ipamOptions": ipam["Options"],
        "ipamConfigs": pools,
    }
    return {name: value for name, value in every.items() if value}
