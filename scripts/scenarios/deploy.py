"""`deploy`: from nothing to every replica ready, an `up` that changes nothing, and away again."""

import json
import statistics
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import Any

from scripts import deployed, deploying
from scripts.prepare import ui
from scripts.prepare.pins import ROOT
from scripts.prepare.ui import SetupError
from scripts.status import Status

ROUNDS = {"quick": 1, "full": 5}
RESULTS = ROOT / "results"
SEARCH = "/api/2.0/mlflow/experiments/search"
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
        with deploying.test_cluster([stack], keep=False):
            rounds.append(_round(stack, problems))
    folder = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{stack}-deploy"
    folder.mkdir(parents=True)
    found = {"stack": stack, "profile": profile, "rounds": rounds, "problems": problems}
    (folder / "deploy.json").write_text(json.dumps(found, indent=2) + "\n")
    for line in table(rounds):
        ui.say(stack, line)
    for problem in problems:
        ui.say(stack, problem)
    status = Status.BAD if problems else Status.GOOD
    ui.say(stack, f"verdict {status.words} (exit status {status}): {folder.relative_to(ROOT)}")
    return status


def _round(stack: str, problems: list[str]) -> dict[str, float]:
    times: dict[str, float] = {}
    deploying.require_nothing(stack)
    try:
        times["up_s"] = deploying.up(stack)
        problems += unready(_replicas(stack))
        times["noop_s"] = deploying.up(stack, "--expect-no-changes")
        if times["noop_s"] > NO_OP_LIMIT_S:
            problems.append(f"an up without a change took {ui.elapsed(times['noop_s'])}")
    finally:
        with ui.second_interrupt_only(stack):
            removed, times["destroy_s"] = deploying.remove(stack)
    if not removed or deployed.read_state(stack).resources:
        raise SetupError(f"{stack} could not be removed")
    return times


def unready(replicas: dict[str, str]) -> list[str]:
    """Ask each replica, by its own address, for something that is in the database."""
    said = []
    for name, address in replicas.items():
        request = urllib.request.Request(
            f"http://{address}{SEARCH}",
            data=b'{"max_results": 1}',
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - a loopback address
                pass
        except (urllib.error.URLError, OSError) as error:
            said.append(f"{name} was not ready when up returned: {error}")
    return said


def _replicas(stack: str) -> dict[str, str]:
    """Addresses of the stack's replicas by name."""
    log = RESULTS / f".outputs-{stack}.json"
    argv = ["pulumi", "stack", "output", "--json", "--stack", stack]
    RESULTS.mkdir(exist_ok=True)
    try:
        ui.run(stack, "reading the outputs", argv, log=log, cwd=ROOT)
        components: list[dict[str, Any]] = json.loads(log.read_text())["target"]["components"]
    except (ValueError, KeyError) as error:
        raise SetupError(f"the outputs of {stack} are not those of a stack: {error}") from None
    finally:
        log.unlink(missing_ok=True)
    found = {one["name"]: one["audit"] for one in components if one["kind"] == "mlflow"}
    if not found or None in found.values():
        raise SetupError(f"{stack}: its outputs name no address of each replica")
    return found


def table(rounds: list[dict[str, float]]) -> list[str]:
    """A line for each kind of time: the median and every value, in seconds."""
    lines = []
    for key, name in TIMES.items():
        values = [one[key] for one in rounds]
        each = "  ".join(f"{value:.1f}" for value in values)
        lines.append(f"{name:<9} median {statistics.median(values):6.1f} s   ({each})")
    return lines
