"""Stacks on Kubernetes: their pods, their answers, and what their logs say."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.components.names import POSTGRES
from infra.labels import LABEL_COMPONENT
from scripts.commands.doctor import certificates, indexes, stacks
from scripts.commands.doctor.finding import Finding, good, wrong
from scripts.commands.setup import cluster
from scripts.shared import machine
from scripts.shared.project import STATE
from scripts.stack import files

ENDED = "ended after"
"""How the last line of a port-forward begins that found nothing to lead to any more."""

Pod = dict[str, Any]
"""A pod as the API has it."""


def check(names: Sequence[str]) -> Iterator[Finding]:
    """Look at every stack on Kubernetes that is deployed from here, or at those wanted."""
    for path in sorted((STATE / "forward").glob("*.json")):
        stack = path.stem
        if names and stack not in names:
            continue
        try:
            plan = json.loads(path.read_text())
            where = ["--context", plan["context"], "-n", plan["namespace"]]
        except (OSError, ValueError, KeyError):
            continue  # it is being written
        yield from ended_forward(stack, path.with_suffix(".log"))
        listed = _kubectl(*where, "get", "pods", "-o", "json")
        if listed is None:
            why = "the cluster does not answer, or kubectl is missing"
            remedy = f"kubectl {' '.join(where)} get pods"
            yield wrong(stack, "its pods cannot be listed", why, remedy)
            continue
        shown: dict[str, str | None] = {}
        for pod in json.loads(listed)["items"]:
            name = pod["metadata"]["name"]
            yield from judge(stack, where, pod)
            log = _kubectl(*where, "logs", "--since", stacks.RECENT, "--tail=5000", name) or ""
            yield from stacks.log_findings(stack, name, log.splitlines())
            if _is_ready_database(pod):
                beside = [cluster.kubectl() or "kubectl", *where, "exec", name, "--"]
                yield from indexes.check(stack, [str(word) for word in beside])
            if pod["status"]["phase"] == "Running":
                shown[name] = _kubectl(*where, "exec", name, "--", "cat", str(certificates.PATH))
        if stack in files.names():
            yield stacks.answer(stack, stacks.address(stack), stacks.ca_file(stack))
            yield from stacks.exposure(stack)
            yield from certificates.judge(stack, shown)


def deployed() -> set[str]:
    """Names of the stacks that have a port-forward here."""
    return {path.stem for path in (STATE / "forward").glob("*.json")}


def ended_forward(stack: str, log: Path) -> Iterator[Finding]:
    """Say why this machine's ports of a stack are closed, if its port-forward ended by itself."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return
    if lines and lines[-1].startswith(ENDED):
        yield wrong(
            stack,
            "its ports on this machine are closed",
            lines[-1],
            f"pulumi up --refresh -s {stack}",
        )


def judge(stack: str, where: Sequence[str], pod: Pod) -> Iterator[Finding]:
    """Judge one pod; `where` are kubectl's arguments that lead to its namespace."""
    name, status = pod["metadata"]["name"], pod["status"]
    containers = status.get("containerStatuses", [])
    see = f"kubectl {' '.join(where)} describe pod {name}"
    waiting = [c["state"]["waiting"] for c in containers if "waiting" in c.get("state", {})]
    if status["phase"] == "Succeeded":
        yield good(stack, f"{name} has done its work")
    elif status["phase"] == "Failed":
        yield wrong(stack, f"{name} has failed", status.get("reason") or "its process ended", see)
    elif waiting:
        why = waiting[0].get("message") or waiting[0]["reason"]
        yield wrong(stack, f"{name} waits: {waiting[0]['reason']}", why[:200], see)
    elif not containers or not all(c["ready"] for c in containers):
        conditions = [c.get("message", "") for c in status.get("conditions", [])]
        why = next(filter(None, conditions), "its readiness check fails")
        yield wrong(stack, f"{name} is not ready", why[:200], see)
    else:
        yield good(stack, f"{name} runs")
    for container in containers:
        terminated = container.get("lastState", {}).get("terminated")
        if terminated and container.get("restartCount"):
            reason, code = terminated["reason"], terminated["exitCode"]
            why = f"its last process ended with {reason} (status {code})"
            seen = f"{name} was restarted {container['restartCount']} times"
            yield wrong(stack, seen, why, f"kubectl {' '.join(where)} logs --previous {name}")


def _is_ready_database(pod: Pod) -> bool:
    """Tell whether a pod is the stack's PostgreSQL, and ready."""
    labels = pod["metadata"].get("labels", {})
    containers = pod["status"].get("containerStatuses", [])
    return labels.get(LABEL_COMPONENT) == POSTGRES and any(c["ready"] for c in containers)


def _kubectl(*arguments: str) -> str | None:
    program = cluster.kubectl()
    return machine.output([program, *arguments], timeout=30) if program else None
