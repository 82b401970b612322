"""What the system under test used in a stage: from looks 1 s apart to means over the load phase."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np

from workloads.record import Record, Window
from workloads.result import (
    Component,
    Database,
    Machine,
    Observed,
    OperationFigures,
    Replica,
)


def observed(record: Record, window: Window, calls: OperationFigures) -> Observed | None:
    """Join the looks of a load phase; None with fewer than two."""
    looks = record.lines("observe", window)
    # Where the load came from a pod, of that pod's node.
    machine = record.lines("machine", window) or looks
    if min(len(looks), len(machine)) < 2:
        return None
    first, last = looks[0], looks[-1]
    components = {
        name: component
        # In order: judged again, a sum of theirs has to be the same to its last digit.
        for name in sorted(first["components"].keys() & last["components"].keys())
        if (component := _component(name, looks))
    }
    cpu_s = sum(component.cpu for component in components.values()) * window.seconds
    good = calls.count - calls.errors
    return Observed(
        machine=_machine(record, window, machine),
        components=components,
        replicas=_replicas(record, window),
        database=_database(looks),
        cpu_ms_per_call=1000 * cpu_s / good if good and components else None,
    )


def _component(name: str, looks: list[dict[str, Any]]) -> Component | None:
    """Return what a component used; None where all looks saw the figures of one moment."""
    seen = [look["components"][name] for look in looks if name in look["components"]]
    first, last = seen[0], seen[-1]
    if last["at"] <= first["at"]:
        return None

    def moved(what: str) -> int | None:
        return None if last[what] is None or first[what] is None else last[what] - first[what]

    return Component(
        cpu=_grown(seen, "cpu_s") / (last["at"] - first["at"]),
        cpu_limit=last["cpu_limit"],
        memory_bytes=max(look["memory"] for look in seen),
        memory_limit_bytes=last["memory_limit"],
        read_bytes=moved("read"),
        written_bytes=moved("written"),
    )


def _grown(seen: list[dict[str, Any]], counter: str) -> float:
    """Add up what a counter grew by; it begins anew with a container that is started anew."""
    values = [figures[counter] for figures in seen]
    return float(
        sum(later - former if later >= former else later for former, later in pairwise(values))
    )


def _machine(record: Record, window: Window, looks: list[dict[str, Any]]) -> Machine:
    first, last = looks[0]["machine"], looks[-1]["machine"]
    seconds = (looks[-1]["mono_ns"] - looks[0]["mono_ns"]) / 1e9
    spent: dict[int, float] = defaultdict(float)
    spans: dict[int, float] = defaultdict(float)
    for sample in record.lines("sample", window):
        spent[sample["process"]] += sample["cpu_s"]
        spans[sample["process"]] += sample["span_s"]
    return Machine(
        cores=last["cores"],
        cpu=(last["busy_s"] - first["busy_s"]) / seconds,
        io_wait=(last["io_wait_s"] - first["io_wait_s"]) / seconds,
        generator_cpu=sum(spent[process] / spans[process] for process in spent),
    )


def _replicas(record: Record, window: Window) -> dict[str, Replica]:
    for line in record.other.get("balancer", []):
        if line["stage"] == window.stage.name:
            return {name: Replica(**figures) for name, figures in line["replicas"].items()}
    return {}


def _database(looks: list[dict[str, Any]]) -> Database | None:
    seen = [look["database"] for look in looks if look.get("database")]
    if not seen:
        return None

    def mean(what: str) -> float:
        return float(np.mean([look[what] for look in seen]))

    waits = {name for look in seen for name in look["waiting"]}
    return Database(
        connections=mean("connections"),
        most_connections=max(look["connections"] for look in seen),
        max_connections=seen[-1]["max_connections"],
        active=mean("active"),
        idle_in_transaction=mean("idle_in_transaction"),
        waiting={
            name: float(np.mean([look["waiting"].get(name, 0) for look in seen]))
            for name in sorted(waits)
        },
        size_bytes=seen[-1]["size_bytes"],
    )
