"""Deployed stacks: their containers, their answers, and what their logs say."""

import json
import subprocess
import urllib.error
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from infra.components.names import POSTGRES
from infra.labels import LABEL_COMPONENT, LABEL_STACK
from infra.specification.exposure import exposed, is_on
from scripts.commands.doctor import certificates, indexes, ports
from scripts.commands.doctor.causes import explain
from scripts.commands.doctor.finding import Finding, good, wrong
from scripts.shared import machine, tracking_server
from scripts.shared.project import STATE
from scripts.stack import files

RECENT = "15m"
MOST_LINES = "5000"

Container = dict[str, Any]
"""A container as `docker inspect` has it."""


def check(names: Sequence[str]) -> Iterator[Finding]:
    """Look at every stack that Docker has containers of, or at those that are wanted."""
    by_stack: dict[str, list[Container]] = {}
    existing = containers()
    if existing is None:
        why = "the engine does not answer, or takes longer than 30 s"
        yield wrong("docker", "containers cannot be listed", why, "see `docker ps`; run this again")
        return
    for container in existing:
        by_stack.setdefault(container["Config"]["Labels"][LABEL_STACK], []).append(container)
    known = files.names()
    for stack in names or sorted(by_stack):
        if stack not in by_stack:
            yield wrong(
                stack,
                "Docker has no container of it",
                "it is not deployed here, or it runs on Kubernetes",
                f". scripts/activate; pulumi up -s {stack}",
            )
            continue
        for container in by_stack[stack]:
            yield from judge(stack, container)
            yield from log_findings(stack, component(container), recent_log(container["Id"]))
            state = container["State"]
            if component(container) == POSTGRES and state["Running"] and not state.get("Paused"):
                yield from indexes.check(stack, ["docker", "exec", container["Name"].lstrip("/")])
        if stack in known:
            yield answer(stack, address(stack), ca_file(stack))
            yield from exposure(stack)
            yield from certificates.judge(stack, shown(by_stack[stack]))


def containers() -> list[Container] | None:
    """Return every container that carries a stack's label; None where Docker does not say."""
    argv = ["docker", "ps", "-aq", "--filter", f"label={LABEL_STACK}"]
    listed = machine.output(argv, timeout=30)
    if not listed:
        return None if listed is None else []
    # One at a time: of those that are removed meanwhile, nothing has to be said.
    texts = (machine.output(["docker", "inspect", id_], timeout=30) for id_ in listed.split())
    return [container for text in texts if text for container in json.loads(text)]


def component(container: Container) -> str:
    """Return the name of the component that a container is."""
    return str(container["Config"]["Labels"].get(LABEL_COMPONENT, container["Name"].lstrip("/")))


def judge(stack: str, container: Container) -> Iterator[Finding]:
    """Judge the state of one container."""
    state, name = container["State"], component(container)
    logs = f"docker logs {container['Name'].lstrip('/')}"
    once = container["HostConfig"]["RestartPolicy"]["Name"] in ("", "no")
    health = (state.get("Health") or {}).get("Status", "healthy")
    if state.get("Paused"):
        yield wrong(
            stack,
            f"{name} is paused",
            "somebody froze it, or a run with a fault was killed before it healed it",
            f"docker unpause {container['Name'].lstrip('/')}",
        )
    elif state.get("OOMKilled"):
        yield wrong(
            stack,
            f"{name} was killed for its memory",
            f"it reached its limit of {container['HostConfig']['Memory'] / 2**20:.0f} MiB",
            f"raise its memory limit: pulumi config set -s {stack} …_memory 1g; pulumi up",
        )
    elif not state["Running"] and not (once and state["ExitCode"] == 0):
        why = f"its process ended with status {state['ExitCode']}"
        yield wrong(stack, f"{name} does not run", why, f"{logs}; pulumi up --refresh -s {stack}")
    elif state["Running"] and health == "unhealthy":
        message = ((state["Health"].get("Log") or [{}])[-1].get("Output") or "").strip()
        why = f"its check says: {message[:200]}" if message else "its check fails"
        yield wrong(stack, f"{name} is not ready", why, f"see what it waits for: {logs}")
    else:
        doing = "runs" if state["Running"] else "has done its work"
        yield good(stack, f"{name} {doing}")
    if container.get("RestartCount"):
        yield wrong(
            stack,
            f"{name} was restarted {container['RestartCount']} times",
            "its process ended by itself, or was killed",
            f"see its last words: {logs}",
        )


def log_findings(stack: str, name: str, lines: Sequence[str]) -> Iterator[Finding]:
    """Explain what recent lines of a component's log say."""
    for cause, count, line in explain(lines):
        seen = f"{name} logged {count} times in {RECENT}: {line}"
        yield wrong(stack, seen, cause.why, cause.remedy.replace("STACK", stack))


def recent_log(container: str) -> list[str]:
    """Return the recent lines of a container's log; none where it cannot be read."""
    argv = ["docker", "logs", "--since", RECENT, "--tail", MOST_LINES, container]
    try:
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.decode(errors="replace").splitlines()


def shown(present: Sequence[Container]) -> dict[str, str | None]:
    """Return the certificates that running containers have, by component."""
    read = ["cat", str(certificates.PATH)]
    return {
        component(container): machine.output(["docker", "exec", container["Id"], *read], timeout=30)
        for container in present
        if container["State"]["Running"] and not container["State"].get("Paused")
    }


def address(stack: str) -> str:
    """Return where a stack is on this machine, by its file."""
    scheme = "https" if is_on(files.config(stack).get("tls")) else "http"
    return f"{scheme}://127.0.0.1:{ports.of(stack)}"


def ca_file(stack: str) -> Path | None:
    """Return the file of a stack's own authority, if it has one."""
    path = STATE / "tls" / f"{stack}.crt"
    return path if path.exists() else None


def exposure(stack: str) -> Iterator[Finding]:
    """Say what a stack leaves open to others in its network."""
    for line in exposed(files.config(stack)):
        seen, _, rest = line.partition(": the server")
        why, _, remedy = rest.rpartition("; ")
        yield wrong(stack, seen, f"the server{why}", remedy.replace("set", f"set -s {stack}", 1))


def answer(stack: str, address: str, ca_file: Path | None = None) -> Finding:
    """Ask a tracking server something that needs its database."""
    try:
        tracking_server.search(address, ca_file)
        return good(stack, f"{address} answers a search")
    except urllib.error.HTTPError as error:
        if error.code == 401:
            return good(stack, f"{address} answers, and asks who it is")
        seen = f"{address} answers with HTTP {error.code}"
        known = {403: "it refuses the name that it was asked by"}
        known |= dict.fromkeys((429, 502, 504), "nginx reaches no replica")
        why = known.get(error.code, "a part behind it does not work")
        remedy = f"see its log, and pulumi up --refresh -s {stack}"
        return wrong(stack, seen, why, remedy)
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "reason", None) or error
        seen = f"{address} does not answer within {tracking_server.TIMEOUT_S:.0f} s ({reason})"
        why = "it does not run, or waits for its database"
        return wrong(stack, seen, why, f"pulumi up --refresh -s {stack}")
