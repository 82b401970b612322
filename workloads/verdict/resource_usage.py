"""Resources that the system under test used in a stage: means over samples 1 s apart."""

from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np

from workloads.history.record import Record, Window
from workloads.verdict.result import (
    Component,
    Database,
    Machine,
    Observed,
    OperationFigures,
    Replica,
)


def observed(record: Record, window: Window, calls: OperationFigures) -> Observed | None:
    """Return the usage in a load phase; None with fewer than two samples."""
    samples = record.lines("observe", window)
    # For a load from a pod, of that pod's node.
    machine = record.lines("machine", window) or samples
    if min(len(samples), len(machine)) < 2:
        return None
    first, last = samples[0], samples[-1]
    components = {
        name: component
        # In order, so that judging again adds them up to the same last digit.
        for name in sorted(first["components"].keys() & last["components"].keys())
        if (component := _component(name, samples))
    }
    cpu_s = sum(component.cpu for component in components.values()) * window.seconds
    good = calls.count - calls.errors
    return Observed(
        machine=_machine(record, window, machine),
        components=components,
        replicas=_replicas(record, window),
        database=_database(samples),
        cpu_ms_per_call=1000 * cpu_s / good if good and components else None,
    )


def _component(name: str, samples: list[dict[str, Any]]) -> Component | None:
    """Return a component's usage; None if all samples are of one moment."""
    own = [look["components"][name] for look in samples if name in look["components"]]
    first, last = own[0], own[-1]
    if last["at"] <= first["at"]:
        return None

    def difference(counter: str) -> int | None:
        return (
            None
            if last[counter] is None or first[counter] is None
            else last[counter] - first[counter]
        )

    return Component(
        cpu=_grown(own, "cpu_s") / (last["at"] - first["at"]),
        cpu_limit=last["cpu_limit"],
        memory_bytes=max(look["memory"] for look in own),
        memory_limit_bytes=last["memory_limit"],
        read_bytes=difference("read"),
        written_bytes=difference("written"),
    )


def _grown(samples: list[dict[str, Any]], counter: str) -> float:
    """Return the growth of a counter, which a restarted container begins anew."""
    values = [figures[counter] for figures in samples]
    return float(
        sum(later - former if later >= former else later for former, later in pairwise(values))
    )


def _machine(record: Record, window: Window, samples: list[dict[str, Any]]) -> Machine:
    first, last = samples[0]["machine"], samples[-1]["machine"]
    seconds = (samples[-1]["mono_ns"] - samples[0]["mono_ns"]) / 1e9
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


def _database(samples: list[dict[str, Any]]) -> Database | None:
    states = [sample["database"] for sample in samples if sample.get("database")]
    if not states:
        return None

    def mean(field: str) -> float:
        return float(np.mean([sample[field] for sample in states]))

    waits = {name for sample in states for name in sample["waiting"]}
    return Database(
        connections=mean("connections"),
        most_connections=max(sample["connections"] for sample in states),
        max_connections=states[-1]["max_connections"],
        active=mean("active"),
        idle_in_transaction=mean("idle_in_transaction"),
        waiting={
            name: float(np.mean([sample["waiting"].get(name, 0) for sample in states]))
            for name in sorted(waits)
        },
        size_bytes=states[-1]["size_bytes"],
    )
