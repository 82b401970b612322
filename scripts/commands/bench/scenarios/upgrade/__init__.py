"""`upgrade`: from one release of MLflow to a later one while people work, and what they notice.

The stack is deployed at the old release and filled. Under an open load it is then deployed with the
new one, as a person would by `pulumi up`: all replicas are stopped, the schema job migrates, new
replicas start. Everything that was acknowledged before, meanwhile and after has to be there.
"""

import json
import subprocess
import tempfile
from pathlib import Path

from infra import releases
from scripts.archive import RefusedError, manifest
from scripts.commands.bench import results, test_cluster, workload
from scripts.commands.bench.scenarios.upgrade import figures, heads, killer, kills, look, serving
from scripts.commands.bench.scenarios.upgrade.figures import Upgrade
from scripts.commands.bench.scenarios.upgrade.killer import Times
from scripts.commands.bench.scenarios.upgrade.serving import Serving
from scripts.commands.bench.scenarios.upgrade.under_load import Change
from scripts.commands.bench.scenarios.upgrade.under_load import run as run_under_load
from scripts.commands.bench.upgrade_options import Asked
from scripts.shared import personal, ui
from scripts.shared.project import ROOT
from scripts.shared.status import Status
from scripts.shared.ui import SetupError
from scripts.shared.venv import PYTHON
from scripts.stack import copies, deployment, files, updates
from workloads.faults.handover import BACKUP, UPGRADE

FILL = "filled"
"""Folder for the run that fills the stack, in that of the load."""

TRIES = 4
"""How often one kill is tried, each time at an earlier moment, until its victim is there."""


class LostError(SetupError):
    """What was acknowledged is not there: the stack is bad, whatever else could not be done."""


def run(stack: str, profile: str, asked: Asked) -> Status:
    """Upgrade a stack under load, and remove it; bad if anything is lost, or not as it should be.

    Raises `SetupError` if it cannot be begun, or a deployment of the old release fails.
    """
    on_docker = files.context(stack) is None
    if refusal := _cannot(stack, asked, on_docker=on_docker):
        raise SetupError(refusal)
    schemas = heads.schemas(stack, [asked.old, asked.new])
    if refusal := heads.refusal(schemas, rolling=asked.rolling, on_docker=on_docker):
        raise SetupError(refusal)
    known = heads.of(stack, [asked.old, asked.new])
    seen = Upgrade(stack, asked, known)
    folder = results.new_run(f"{stack}-upgrade")
    times: dict[str, float] = {}
    status = Status.COULD_NOT_RUN
    with test_cluster.running_for([stack], asked.keep):
        deployment.require_nothing(stack)
        with (
            copies.copied(stack) as copy,
            tempfile.TemporaryDirectory(prefix="mlflow-bench-") as scratch,
        ):
            backup = Path(scratch) / "before.tar"
            loaded = False
            try:
                times["up_s"] = _deploy(stack, copy, asked.old)
                _fill(stack, profile, folder / FILL)
                status = _load(seen, profile, folder, copy, backup)
                loaded = True
                _look_after(seen, profile, folder, copy, backup, times)
            except LostError as error:
                seen.problems.append(str(error))
                status = Status.BAD
            except SetupError as error:
                if not loaded:
                    raise
                # What was found before is told, too.
                seen.problems.append(str(error))
            finally:
                removed = _end(stack, asked, times)
                _record(seen, folder, times)
    figures.tell(seen, folder)
    status = figures.status(seen, status) if removed else Status.COULD_NOT_RUN
    ui.say(stack, f"verdict {status.words} (exit status {status}){figures.not_looked_at(seen)}")
    report = folder / "report.html"
    if report.exists():
        ui.say(stack, f"report: {report.relative_to(ROOT)}")
    else:
        ui.say(stack, f"figures, without a report: {folder.relative_to(ROOT)}")
    return status


def _cannot(stack: str, asked: Asked, *, on_docker: bool) -> str | None:
    """Return why a stack cannot be upgraded as it is asked; None: it can."""
    config = files.config(stack)
    if outside := [key for key in ("database", "artifacts") if isinstance(config.get(key), dict)]:
        return (
            f"{', '.join(outside)}: is outside the stack, by {files.path_of(stack).name}: it would "
            "be filled by the load and migrated for good; name a stack that brings its own"
        )
    if asked.keep:
        own = config.get("mlflow") or releases.pinned()
        if own != asked.new:
            return (
                f"--keep: the stack file has mlflow {own}, by which the next `pulumi up` would go; "
                f"leave it out, or before: pulumi config set -s {stack} mlflow {asked.new}"
            )
    if asked.kills and not on_docker:
        return "--kills: containers of Docker are killed, and this stack is on Kubernetes"
    if asked.kills and personal.has_backend():
        return "--kills: pulumi is found by its lock, which your own PULUMI_BACKEND_URL hides"
    return None


def _load(seen: Upgrade, profile: str, folder: Path, copy: Path, backup: Path) -> Status:
    """Put the filled stack under load, and upgrade it meanwhile; return the load's verdict."""
    stack, asked = seen.stack, seen.asked
    changes = [Change(UPGRADE, lambda: _change_release(seen, copy))]
    if asked.back:
        changes.insert(0, Change(BACKUP, lambda: _back_up(stack, backup, folder)))
    status = run_under_load(stack, profile, folder, changes)
    if status is Status.COULD_NOT_RUN:
        ui.say(stack, f"load: {ui.last_line(folder / workload.LOG)}")
    if seen.up_s is None:
        seen.problems.append(
            f"up with {asked.new} failed (log: {updates.log_of(stack, 'up')})"
            if seen.serves
            else f"not upgraded: the load ended before (log: {folder / workload.LOG})"
        )
    return status


def _look_after(
    seen: Upgrade,
    profile: str,
    folder: Path,
    copy: Path,
    backup: Path,
    times: dict[str, float],
) -> None:
    """Look at the upgraded stack; then the way back and the kills, where they are asked for."""
    if seen.up_s is None:
        return
    times["upgrade_s"] = seen.up_s
    if seen.job and seen.job.seconds is not None:
        times["migration_s"] = seen.job.seconds
    _look(seen, folder)
    kill_times = killer.times(look.target(seen.stack), seen.up_s) if seen.asked.kills else None
    if seen.asked.back:
        _go_back(seen, folder, copy, backup)
    if kill_times:
        _kill(seen, profile, folder, copy, kill_times)


def _deploy(stack: str, copy: Path, release: str) -> float:
    copies.configure(copy, {"mlflow": release})
    took = updates.up(stack, config_file=str(copy))
    ui.say(stack, f"deployed with mlflow {release} in {ui.elapsed(took)}")
    return took


def _fill(stack: str, profile: str, folder: Path) -> None:
    """Have trainers write, so that there is something to lose.

    Raises `SetupError`; `LostError` where some of it is lost at once.
    """
    folder.mkdir(parents=True)
    arguments = ["--scenario", "training", "--profile", profile, "--once"]
    status = workload.run(stack, "filling", arguments, folder)
    if status is Status.COULD_NOT_RUN:
        raise SetupError(f"filling: {ui.last_line(folder / workload.LOG)}")
    durability = json.loads((folder / workload.RESULT).read_text())["durability"]
    if durability["verdict"] == "fail":
        raise LostError(f"filling: what was acknowledged is not all there: {folder}")
    if durability["verdict"] != "pass":
        raise SetupError(f"filling: not all could be looked for before the upgrade: {folder}")


def _change_release(seen: Upgrade, copy: Path) -> None:
    """Deploy the new release over the old one; what serves meanwhile is looked at."""
    stack = look.target(seen.stack)
    ca_file = Path(stack.ca_file) if stack.ca_file else None
    copies.configure(copy, {"mlflow": seen.asked.new})
    with Serving(stack.tracking_uri, ca_file) as serves:
        try:
            seen.up_s = round(updates.up(seen.stack, config_file=str(copy)), 1)
        finally:
            seen.serves = serving.spans(serves.looks)
            seen.job = look.job(stack)
    ui.say(seen.stack, f"upgraded to mlflow {seen.asked.new} in {ui.elapsed(seen.up_s)}")


def _back_up(stack: str, file: Path, folder: Path) -> None:
    said = look.command(
        stack, "backup", "scripts.commands.backup", [stack, file], folder / "backup.log"
    )
    ui.say(stack, said.replace(str(file), file.name))


def _look(seen: Upgrade, folder: Path) -> None:
    """Look at the stack after the upgrade: release, schema, and what was written before."""
    stack, asked = look.target(seen.stack), seen.asked
    told = serving.now(stack.tracking_uri, Path(stack.ca_file) if stack.ca_file else None)
    if told != asked.new:
        seen.problems.append(f"{told or 'nothing'} serves after the upgrade, not {asked.new}")
    try:
        seen.problems += look.wrong_schema(stack, asked.new, seen.heads[asked.new])
        found = look.missing_indexes(stack, asked.new)
    except SetupError as error:
        found = str(error)
        seen.problems.append(found)
    if isinstance(found, str):
        seen.indexes = found
    else:
        seen.indexes, seen.missing = found
    there, seen.filled = look.audit(seen.stack, folder / FILL, folder / "audit.log")
    if not there:
        seen.problems.append(f"what was written before is not all there: {seen.filled}")


def _go_back(seen: Upgrade, folder: Path, copy: Path, backup: Path) -> None:
    """Deploy the old release anew, restore the backup, and audit it up to its moment."""
    stack, old = seen.stack, seen.asked.old
    if not backup.exists():
        seen.problems.append(f"no backup was taken (log: {folder / 'backup.log'})")
        return
    kills.removed(stack)
    _deploy(stack, copy, old)
    try:
        moment = manifest.read(backup).moment
    except RefusedError as error:
        raise SetupError(str(error)) from None
    said = look.command(
        stack, "restore", "scripts.commands.restore", [stack, backup], folder / "restore.log"
    )
    seen.way_back.append(said.removeprefix("restore: "))
    told = serving.now(look.target(stack).tracking_uri)
    if told != old:
        seen.problems.append(f"{told or 'nothing'} serves after the restore, not {old}")
    for run in (folder / FILL, folder):
        log = folder / f"audit-back{'-filled' if run.name == FILL else ''}.log"
        there, line = look.audit(stack, run, log, moment)
        what = "written before the load" if run.name == FILL else "the load, up to the backup"
        seen.way_back.append(f"{what}: {line}")
        if not there:
            seen.problems.append(f"after the way back, {what}: {line}")


def _kill(seen: Upgrade, profile: str, folder: Path, copy: Path, times: Times) -> None:
    """Kill further upgrades half-way, each of a stack that was deployed and filled for it.

    `times` are those of the upgrade under load; one whose victim was not there gives those without.
    """
    stack, asked = seen.stack, seen.asked
    for number, drawn in enumerate(killer.plans(asked.kills, asked.seed), 1):
        for attempt in range(1, TRIES + 1):
            again = f", attempt {attempt} of {TRIES}" if attempt > 1 else ""
            ui.say(stack, f"kill {number} of {asked.kills}: {drawn.victim}{again}")
            kills.removed(stack)
            _deploy(stack, copy, asked.old)
            filled = folder / f"kill-{number}{f'-{attempt}' if attempt > 1 else ''}" / FILL
            _fill(stack, profile, filled)
            kill = kills.once(stack, copy, drawn.earlier(attempt - 1), times, seen.heads, filled)
            ui.say(stack, kills.line(kill))
            if kill.at_s is not None or kill.trouble or attempt == TRIES:
                seen.killed.append(kill)
                break
            times = kill.times.no_longer_than(times) if kill.times else times


def _end(stack: str, asked: Asked, times: dict[str, float]) -> bool:
    """Remove the stack, or leave it where that is asked for; False: it could not be removed."""
    if asked.keep:
        ui.say(stack, f"kept; remove it with: . scripts/activate; pulumi destroy -s {stack}")
        return True
    with ui.second_interrupt_only(stack):
        removed, times["destroy_s"] = deployment.remove(stack)
    return removed


def _record(seen: Upgrade, folder: Path, times: dict[str, float]) -> None:
    """Write the figures; the load's report and result.json get the times, too."""
    seen.save(folder)
    rounded = {name: round(seconds, 3) for name, seconds in times.items()}
    (folder / "deploy.json").write_text(json.dumps(rounded, indent=2) + "\n")
    if (folder / workload.RESULT).exists():
        argv: list[str | Path] = [PYTHON, "-m", "workloads", "recheck", "--write", folder]
        subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True)
