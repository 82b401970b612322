"""`deploy`: from nothing to every replica ready, an `up` that changes nothing, and away again."""

import json
import statistics
from pathlib import Path

from infra.outputs import ADMIN_PASSWORD_OUTPUT
from scripts.commands.bench import results, test_cluster
from scripts.shared import tracking_server, ui
from scripts.shared.project import ROOT
from scripts.shared.status import Status
from scripts.shared.ui import SetupError
from scripts.stack import deployment, snapshot, updates

ROUNDS = {"quick": 1, "full": 5}
NO_OP_LIMIT_S = 10.0
"""An `up` that changes nothing is typed often; beyond this people stop typing it."""

TIMES = {"up_s": "up", "noop_s": "no-op up", "destroy_s": "destroy"}


def run(stack: str, profile: str) -> Status:
    """Deploy a stack, deploy it again without a change, remove it; so often as the profile says.

    Bad if a replica does not answer from its database when `up` returns, if the second `up`
    changes something or takes too long, or if something is left. Raises `SetupError` if a
    deployment fails.
    """
    rounds: list[dict[str, float]] = []
    problems: list[str] = []
    for number in range(1, ROUNDS[profile] + 1):
        ui.say(stack, f"round {number} of {ROUNDS[profile]}")
        with test_cluster.running_for([stack]):
            rounds.append(_round(stack, problems))
    folder = results.new_run(f"{stack}-deploy")
    result = {"stack": stack, "profile": profile, "rounds": rounds, "problems": problems}
    (folder / "deploy.json").write_text(json.dumps(result, indent=2) + "\n")
    for line in table(rounds):
        ui.say(stack, line)
    for problem in problems:
        ui.say(stack, problem)
    status = Status.BAD if problems else Status.GOOD
    ui.say(stack, f"verdict {status.words} (exit status {status}): {folder.relative_to(ROOT)}")
    return status


def _round(stack: str, problems: list[str]) -> dict[str, float]:
    times: dict[str, float] = {}
    deployment.require_nothing(stack)
    try:
        times["up_s"] = updates.up(stack)
        problems += unready(*_replicas(stack))
        times["noop_s"] = updates.up(stack, expect_no_changes=True)
        if times["noop_s"] > NO_OP_LIMIT_S:
            problems.append(f"an up without a change took {ui.elapsed(times['noop_s'])}")
    finally:
        with ui.second_interrupt_only(stack):
            removed, times["destroy_s"] = deployment.remove(stack)
    if not removed or snapshot.read(stack).resources:
        raise SetupError(f"{stack} could not be removed")
    return times


def unready(
    replicas: dict[str, str],
    user: tuple[str, str] | None = None,
    ca_file: Path | None = None,
) -> list[str]:
    """Ask each replica, by its own address, for something that is in the database.

    `ca_file` is what they are verified by, where they speak TLS.
    """
    scheme = "https" if ca_file else "http"
    problems = []
    for name, address in replicas.items():
        try:
            tracking_server.search(f"{scheme}://{address}", ca_file, user)
        except OSError as error:
            problems.append(f"{name} was not ready when up returned: {error}")
    return problems


def _replicas(stack: str) -> tuple[dict[str, str], tuple[str, str] | None, Path | None]:
    """Addresses of the stack's replicas by name; who may ask them, and by what they are verified.

    The latter two are None where they do not want to know, and speak no TLS.
    """
    try:
        outputs = snapshot.outputs(stack)
        target = outputs["target"]
        components, name = target["components"], target.get("username")
        user = (name, outputs[ADMIN_PASSWORD_OUTPUT]) if name else None
    except KeyError as error:
        raise SetupError(f"the outputs of {stack} are not those of a stack: {error}") from None
    addresses = {c["name"]: c["audit"] for c in components if c["kind"] == "mlflow"}
    if not addresses or None in addresses.values():
        raise SetupError(f"{stack}: its outputs name no address of each replica")
    files = (c.get("ca_file") for c in components)
    return addresses, user, next((Path(file) for file in files if file), None)


def table(rounds: list[dict[str, float]]) -> list[str]:
    """A line for each kind of time: the median and every value, in seconds."""
    lines = []
    for key, name in TIMES.items():
        values = [times[key] for times in rounds]
        listed = "  ".join(f"{value:.1f}" for value in values)
        lines.append(f"{name:<9} median {statistics.median(values):6.1f} s   ({listed})")
    return lines
