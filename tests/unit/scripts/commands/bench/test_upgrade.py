"""The scenario `upgrade`: what it refuses, what it makes of what it sees, and what it tells."""

import json
import threading
import time
from argparse import Namespace
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import DockerException

from infra import releases
from scripts.commands.bench import results, test_cluster, upgrade_options, workload
from scripts.commands.bench.scenarios import upgrade
from scripts.commands.bench.scenarios.upgrade import (
    figures,
    heads,
    killer,
    kills,
    look,
    serving,
    under_load,
)
from scripts.commands.bench.scenarios.upgrade.figures import Upgrade
from scripts.commands.bench.scenarios.upgrade.killer import Plan, Times
from scripts.commands.bench.scenarios.upgrade.kills import Kill
from scripts.commands.bench.scenarios.upgrade.look import Job
from scripts.commands.bench.scenarios.upgrade.serving import Look, Serving, Span
from scripts.commands.bench.scenarios.upgrade.under_load import Change
from scripts.commands.bench.upgrade_options import Asked
from scripts.shared import ui
from scripts.shared.status import Status
from scripts.stack import copies, deployment, files, locks, updates
from tests.serving import Handler
from tests.serving import serving as served
from workloads.faults import handover
from workloads.faults.handover import Step

OLD, NEW = "3.16.1", "3.17.2"
FIRST, LAST = releases.supported()[0], releases.supported()[-1]
HEADS = {OLD: "b7e2c1a4d9f3", NEW: "dc11669786a5"}


def options(**changes: Any) -> Namespace:
    given = {"scenario": "upgrade", "old": OLD, "new": NEW, "rolling": False, "back": False}
    return Namespace(**(given | {"kills": 0, "keep": False, "seed": 1} | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, None),
        ({"rolling": True, "back": True, "kills": 10, "seed": 3}, None),
        ({"keep": True}, None),
        ({"scenario": "training", "old": None, "new": None}, None),
        ({"scenario": "training", "new": None}, "--from: of the scenario upgrade: add --scenario"),
        ({"scenario": "deploy", "old": None, "new": None, "back": True}, "--back: of the scenario"),
        ({"new": None}, f"name both releases, as in: --from {FIRST} --to {LAST}"),
        ({"old": None, "new": None}, "name both releases"),
        ({"new": "newest"}, "--to newest: is no release of mlflow, as 3."),
        ({"old": "3.0.0"}, "--from 3.0.0: is not among the releases that a stack runs: "),
        ({"old": NEW, "new": OLD}, "a database goes up, and not down again: name a later"),
        ({"old": NEW}, "a database goes up, and not down again"),
        ({"kills": -1}, "--kills -1: give a number from 1 to 100"),
        ({"kills": 101}, "--kills 101: give a number"),
        ({"keep": True, "back": True}, "--keep: --back and --kills remove the stack"),
    ],
)
def test_mistakes_are_one_line(changes: dict[str, Any], said: str | None) -> None:
    found = upgrade_options.problem(options(**changes))
    assert found == said if said is None else said in (found or "")
    assert "\n" not in (found or "")


def test_what_is_asked_for_is_what_the_options_say() -> None:
    asked = upgrade_options.read(options(back=True, kills=2, seed=7))
    assert asked == Asked(OLD, NEW, back=True, kills=2, seed=7)


@pytest.mark.parametrize(
    ("known", "rolling", "on_docker", "said"),
    [
        (HEADS, False, True, None),
        (HEADS, True, True, "schema of 3.16.1 is b7e2c1a4d9f3, that of 3.17.2 is dc11669786a5"),
        (HEADS, True, False, "servers of both at once"),
        ({OLD: "a", NEW: "a"}, True, True, "on Docker `up` stops all replicas"),
        ({OLD: "a", NEW: "a"}, True, False, None),
    ],
)
def test_replica_by_replica_takes_one_schema_for_both(
    known: dict[str, str], rolling: bool, on_docker: bool, said: str | None
) -> None:
    found = heads.refusal(known, rolling=rolling, on_docker=on_docker)
    assert found == said if said is None else said in (found or "")


@pytest.mark.parametrize(
    ("config", "asked", "on_docker", "said"),
    [
        ({}, Asked(OLD, NEW), True, None),
        ({}, Asked(OLD, releases.pinned(), keep=True), True, None),
        ({"mlflow": OLD}, Asked(OLD, NEW, keep=True), True, "--keep: the stack file has mlflow 3"),
        ({"mlflow": NEW}, Asked(OLD, NEW, keep=True), True, None),
        ({}, Asked(OLD, NEW, kills=3), True, None),
        ({}, Asked(OLD, NEW, kills=3), False, "--kills: containers of Docker are killed"),
        (
            {"database": {"url": {"secure": "v1:…"}}},
            Asked(OLD, NEW),
            True,
            "database: is outside",
        ),
        ({"artifacts": {"kind": "s3"}}, Asked(OLD, NEW), False, "artifacts: is outside"),
        ({"artifacts": "s3"}, Asked(OLD, NEW), True, None),
    ],
)
def test_what_a_stack_cannot_have_is_told(
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, Any],
    asked: Asked,
    on_docker: bool,
    said: str | None,
) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setattr(files, "config", lambda stack: config)
    found = upgrade._cannot("local", asked, on_docker=on_docker)
    assert found == said if said is None else said in (found or "")
    monkeypatch.setattr(files, "config", lambda stack: {})
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    hidden = upgrade._cannot("local", Asked(OLD, NEW, kills=1), on_docker=True)
    assert "your own PULUMI_BACKEND_URL" in (hidden or "")


@pytest.mark.parametrize(
    ("log", "job"),
    [
        (
            "schema-job: upgraded the schema at revision dc11 in 2.3 s (mlflow 3.17.2), artifacts "
            "at /a\n",
            ("upgraded", 2.3),
        ),
        (
            "schema-job: waiting for the lock held by x\nschema-job: created the schema at revision"
            " dc11 in 0.9 s (mlflow 3.17.2), artifacts at /a\nschema-job: warning: 1 experiments\n",
            ("created", 0.9),
        ),
        ("schema-job: verified the schema at revision dc11 (mlflow 3.17.2)\n", ("verified", None)),
        ("schema-job: refused: the database is newer\n", ("unknown", None)),
        ("", ("unknown", None)),
    ],
)
def test_the_job_says_what_it_did_and_how_long_it_took(
    log: str, job: tuple[str, float | None]
) -> None:
    read = look.read_job(log)
    assert (read.action, read.seconds) == job
    assert read.line


LOOKS = [(0.1, OLD), (0.2, OLD), (2.0, OLD), (2.1, None), (11.4, None), (11.6, NEW), (13.0, NEW)]


def test_what_serves_when_is_put_together() -> None:
    found = serving.spans([Look(at_s, release) for at_s, release in LOOKS])
    assert found == [Span(OLD, 0.1, 2.0), Span(None, 2.1, 11.4), Span(NEW, 11.6, 13.0)]
    assert serving.words(found) == "3.16.1 until 2.0 s, nothing for 9.6 s, 3.17.2 from 11.6 s on"
    assert serving.words(found[1:2]) == "nothing for 11.4 s"
    assert serving.words([]) == "not asked"


def test_how_one_release_followed_the_other_is_what_was_seen() -> None:
    assert serving.way([Span(OLD, 0, 1), Span(None, 2, 3), Span(NEW, 4, 5)]).startswith("all repli")
    lost_one = [Span(OLD, 0, 1), Span(None, 2, 2), Span(OLD, 3, 4), Span(NEW, 5, 6)]
    assert serving.way(lost_one) == "replica after replica"
    seen = Upgrade("local", Asked(OLD, NEW, rolling=True), HEADS)
    assert "replica" not in figures.lines(seen, Path("/nowhere"))[0]


def test_the_users_schema_counts_where_a_stack_has_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for auth in (False, True):
        spec = SimpleNamespace(auth=SimpleNamespace(has_users=auth))
        monkeypatch.setattr(heads, "specification", lambda stack, spec=spec: spec)
        assert len(heads.schemas("local", [OLD])[OLD].split()) == 1 + auth


class Release(Handler):
    def do_GET(self) -> None:
        self.answer(200 if self.path == "/version" else 404, b"3.16.1")


def test_a_server_is_asked_for_its_release_until_the_block_ends() -> None:
    with served(Release) as address, Serving(address) as asked:
        deadline = time.monotonic() + 30
        while len(asked.looks) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert {one.release for one in asked.looks} == {OLD}
    assert serving.now("http://127.0.0.1:1") is None


def result(lost: int = 0) -> dict[str, Any]:
    kind = {"acknowledged": 100, "lost": lost, "duplicates": 0, "orphans": 2, "unread": 0}
    outage = {"at_least_s": 9.1, "at_most_s": 9.3}
    change = {
        "fault": "upgrade",
        "calls": 250,
        "failed": 1,
        "succeeded_after_retry": 40,
        "client_errors": {"Connection refused": 60, "HTTP 502": 3},
        "recovered_s": 14.0,
        "healed_s": 12.0,
        "outages": {"read metadata": outage, "log metrics": {"at_least_s": 9.2, "at_most_s": 9.2}},
    }
    return {
        "durability": {"kinds": {"run": kind, "metric": kind | {"orphans": 0}}},
        "resilience": {"faults": [change]},
    }


def test_figures_are_lines_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps(result()))
    seen = Upgrade("local", Asked(OLD, NEW), HEADS)
    seen.up_s, seen.job = 12.4, Job("upgraded", 0.3, "schema-job: upgraded …")
    seen.serves = serving.spans([Look(at_s, release) for at_s, release in LOOKS])
    seen.filled, seen.indexes = "acknowledged 50, lost 0", 97
    assert figures.lines(seen, tmp_path) == [
        "3.16.1 (schema b7e2c1a4d9f3) to 3.17.2 (schema dc11669786a5), all replicas stopped "
        "meanwhile",
        "up 12.4 s; the schema job upgraded the schema in 0.3 s of it",
        "served: 3.16.1 until 2.0 s, nothing for 9.6 s, 3.17.2 from 11.6 s on, from the command on",
        "upgrade: longest time without, s: read metadata 9.1 to 9.3, log metrics 9.2",
        "upgrade: of 250 calls 1 failed, 40 were mended by the client's retry; clients saw: "
        "Connection refused x 60, HTTP 502 x 3",
        "acknowledged before, during and after: 200; lost 0, duplicates 0, orphans 2, never read 0",
        "written before the load: acknowledged 50, lost 0",
        "indexes: all 97 that a fresh database of 3.17.2 has",
    ]
    assert figures.problems(seen) == []
    seen.save(tmp_path)
    saved = json.loads((tmp_path / "upgrade.json").read_text())
    assert saved["job"]["seconds"] == 0.3
    assert saved["users"]["durability"]["acknowledged"] == 200
    assert saved["users"]["changes"]["upgrade"]["failed"] == 1


def killed(**changes: Any) -> Kill:
    went = {"victim": "pulumi", "at_s": 3.2, "ended": "pulumi up was ended by signal 9"}
    went |= {"schema": OLD, "served": None, "again_s": 14.0, "finished": NEW}
    return Kill(**(went | {"audit": "lost 0", "trouble": ""} | changes))  # type: ignore[arg-type]


def test_what_was_not_as_it_should_be_is_wrong() -> None:
    seen = Upgrade("local", Asked(OLD, NEW), HEADS)
    seen.problems.append("nothing serves after the upgrade, not 3.17.2")
    seen.missing, seen.indexes = ["CREATE INDEX a ON b USING btree (c)"], 97
    seen.killed = [killed(), killed(trouble="not all is there: lost 3"), killed(at_s=None)]
    assert figures.problems(seen) == [
        "nothing serves after the upgrade, not 3.17.2",
        "index missing: CREATE INDEX a ON b USING btree (c)",
        "kill 2: not all is there: lost 3",
    ]
    assert "indexes: 1 of the 97 of 3.17.2 are missing" in figures.lines(seen, Path("/nowhere"))


def test_a_kill_that_came_too_late_is_nothing_bad_but_makes_it_invalid(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = Upgrade("local", Asked(OLD, NEW), HEADS, indexes=97)
    assert figures.status(seen, Status.GOOD) is Status.GOOD
    seen.killed = [killed(), killed(at_s=None)]
    assert figures.problems(seen) == []
    assert figures.status(seen, Status.GOOD) is Status.INVALID
    figures.tell(seen, Path("/nowhere"))
    assert "not tried: kill 2: pulumi was not there" in capsys.readouterr().err
    seen.killed.append(killed(trouble="not all is there"))
    assert figures.status(seen, Status.GOOD) is Status.BAD
    assert figures.status(seen, Status.COULD_NOT_RUN) is Status.COULD_NOT_RUN


def test_what_was_not_looked_at_is_beside_the_verdict() -> None:
    seen = Upgrade("local", Asked(OLD, NEW), HEADS, indexes="those of 3.17.2 are not known here")
    said = "; not looked at: indexes (those of 3.17.2 are not known here)"
    assert figures.not_looked_at(seen) == said
    assert "indexes: not looked at: those of 3.17.2" in figures.lines(seen, Path("/nowhere"))[-1]
    seen.indexes = 97
    assert figures.not_looked_at(seen) == ""


class Archive:
    """Stands in for the database of a stack, as its commands ask it."""

    def __init__(self, revision: str, written: str) -> None:
        self._revision, self._written = revision, written

    def revision(self) -> str:
        return self._revision

    def ask(self, query: str) -> str:
        return f"{self._written}\n"


@pytest.mark.parametrize(
    ("revision", "written", "said"),
    [
        (HEADS[NEW], OLD, f"the schema job of {OLD} was the last, not that of {NEW}"),
        (HEADS[OLD], NEW, f"the schema is at {HEADS[OLD]}, not at {HEADS[NEW]} as of {NEW}"),
    ],
)
def test_another_schema_or_job_than_the_new_release_s_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, revision: str, written: str, said: str
) -> None:
    monkeypatch.setattr(look, "target", lambda stack: SimpleNamespace(tracking_uri="", ca_file=""))
    monkeypatch.setattr(look, "host_of", lambda stack: None)
    monkeypatch.setattr(look, "Database", lambda *_: Archive(revision, written))
    monkeypatch.setattr(look, "audit", lambda *_: (True, "lost 0"))
    monkeypatch.setattr(serving, "now", lambda *_: NEW)
    seen = Upgrade("local", Asked(OLD, NEW), HEADS)
    upgrade._look(seen, tmp_path)
    assert said in seen.problems
    assert seen.filled == "lost 0"


class Rehearsal:
    """Stands in for all that a run does to a stack; `fails` says which step raises what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.fails: dict[str, Exception] = {}
        self.load = Status.GOOD
        monkeypatch.setattr(upgrade, "ROOT", folder)
        monkeypatch.setattr(files, "config", lambda stack: {})
        for known in ("of", "schemas"):
            monkeypatch.setattr(heads, known, lambda *_: HEADS)
        monkeypatch.setattr(results, "new_run", lambda name: folder)
        monkeypatch.setattr(test_cluster, "running_for", lambda *_: nullcontext())
        monkeypatch.setattr(deployment, "require_nothing", lambda stack: None)
        monkeypatch.setattr(copies, "copied", lambda stack: nullcontext(folder / "copy"))
        monkeypatch.setattr(upgrade, "_end", lambda *_: True)
        for step in ("_deploy", "_fill", "_look", "_go_back"):
            monkeypatch.setattr(upgrade, step, lambda *_, step=step: self._do(step))
        monkeypatch.setattr(upgrade, "_load", self._load)

    def _do(self, step: str) -> float:
        if step in self.fails:
            raise self.fails[step]
        return 1.0

    def _load(self, seen: Upgrade, *_: object) -> Status:
        seen.up_s = 12.0
        seen.problems.append("3.16.1 serves after the upgrade, not 3.17.2")
        return self.load

    def run(self) -> Status:
        return upgrade.run("local", "quick", Asked(OLD, NEW, back=True))


def test_what_fails_later_does_not_hide_what_was_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rehearsal = Rehearsal(monkeypatch, tmp_path)
    rehearsal.fails = {"_go_back": ui.SetupError("restore failed with status 1")}
    assert rehearsal.run() is Status.BAD
    said = capsys.readouterr().err
    assert "wrong: 3.16.1 serves after the upgrade" in said
    assert "wrong: restore failed with status 1" in said
    assert "figures, without a report" in said
    (tmp_path / "report.html").touch()
    assert rehearsal.run() is Status.BAD
    assert "report: report.html" in capsys.readouterr().err


def test_a_stack_that_cannot_be_filled_could_not_be_tried_but_one_that_loses_is_bad(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rehearsal = Rehearsal(monkeypatch, tmp_path)
    rehearsal.fails = {"_fill": ui.SetupError("filling: nothing answers")}
    with pytest.raises(ui.SetupError, match="nothing answers"):
        rehearsal.run()
    rehearsal.fails = {"_fill": upgrade.LostError("filling: what was acknowledged is not there")}
    assert rehearsal.run() is Status.BAD
    assert "wrong: filling: what was acknowledged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verdict", "kind"), [("fail", upgrade.LostError), ("unknown", ui.SetupError), ("pass", None)]
)
def test_what_the_filling_lost_is_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdict: str, kind: type[Exception] | None
) -> None:
    def run(stack: str, name: str, arguments: list[str], folder: Path) -> Status:
        (folder / workload.RESULT).write_text(json.dumps({"durability": {"verdict": verdict}}))
        return Status.BAD

    monkeypatch.setattr(workload, "run", run)
    raised: type[Exception] | None = None
    try:
        upgrade._fill("local", "quick", tmp_path / "filled")
    except ui.SetupError as error:
        raised = type(error)
    assert raised is kind


def test_a_kill_that_misses_is_tried_again_earlier_by_the_times_without_load(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tried: list[tuple[Plan, Times]] = []

    def once(_stack: str, _copy: Path, plan: Plan, times: Times, *_: object) -> Kill:
        tried.append((plan, times))
        hit = len(tried) > 2
        return killed(at_s=3.0 if hit else None, times=None if hit else Times(10.0, 9.0))

    monkeypatch.setattr(kills, "once", once)
    monkeypatch.setattr(kills, "removed", lambda stack: None)
    for step in ("_deploy", "_fill"):
        monkeypatch.setattr(upgrade, step, lambda *_: None)
    seen = Upgrade("local", Asked(OLD, NEW, kills=1), HEADS, up_s=25.0)
    upgrade._kill(seen, "quick", tmp_path, tmp_path, Times(25.0, 3.0))
    [drawn] = killer.plans(1, 1)
    assert [plan for plan, _ in tried] == [drawn, drawn.earlier(1), drawn.earlier(2)]
    assert drawn.earlier(1).share < drawn.share
    assert [times for _, times in tried] == [Times(25.0, 3.0), Times(10.0, 3.0), Times(10.0, 3.0)]
    assert [kill.at_s for kill in seen.killed] == [3.0]


class Containers:
    """Stands in for Docker with one container, that runs so many looks long."""

    def __init__(self, looks: int) -> None:
        self.looks, self.kills = looks, 0
        self.containers = self
        end = "2026-11-29T10:00:03Z"
        self.attrs = {"State": {"StartedAt": "2026-11-29T10:00:00Z", "FinishedAt": end}}

    def get(self, name: str) -> "Containers":
        return self

    @property
    def status(self) -> str:
        self.looks -= 1
        return "running" if self.looks >= 0 else "exited"

    def kill(self) -> None:
        self.kills += 1
        raise DockerException("409: is not running")

    def close(self) -> None:
        pass


def target(*components: Any) -> Any:
    return SimpleNamespace(stack="local", components=components)


def test_a_job_that_has_ended_is_not_killed_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    docker = Containers(1)
    monkeypatch.setattr(killer, "connect", lambda: docker)
    with killer.Killer(Plan(killer.JOB, 0.0), target(), Times(0.0, 0.0)) as killing:
        killing._thread.join(30)
        assert not killing._thread.is_alive()
    assert (docker.kills, killing.at_s) == (1, None)


class Crash:
    """Stands in for a kill from inside, that is seen to work from so many looks on."""

    def __init__(self, looks: float) -> None:
        self.looks = looks

    def __call__(self, *_: object) -> "Crash":
        return self

    def inject(self) -> None:
        pass

    def in_effect(self) -> bool:
        self.looks -= 1
        return self.looks < 0


@pytest.mark.parametrize(("looks", "seen"), [(2, True), (float("inf"), False)])
def test_a_kill_is_one_when_the_container_is_seen_to_have_ended(
    monkeypatch: pytest.MonkeyPatch, looks: float, seen: bool
) -> None:
    monkeypatch.setattr(killer, "connect", lambda: Containers(0))
    monkeypatch.setattr(killer, "PROOF_S", 30.0 if seen else 0.05)
    monkeypatch.setattr(killer, "ContainerKill", Crash(looks))
    stack = target(SimpleNamespace(kind="postgres"))
    killing = killer.Killer(Plan(killer.DATABASE, 0.0), stack, Times(0.0, 0.0))
    assert killing._kill() is seen


def test_a_stack_without_the_victim_has_none_to_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(killer, "connect", lambda: Containers(0))
    killing = killer.Killer(Plan(killer.DATABASE, 0.0), target(), Times(0.0, 0.0))
    assert killing._kill() is False


def test_an_engine_that_ends_meanwhile_is_none_to_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = locks.Lock(2**22 + 1, "here", datetime.now(UTC), alive=True)
    monkeypatch.setattr(locks, "held", lambda stack: [ended])
    assert killer.kill_engine("local") is False


def test_how_long_a_job_ran_is_what_docker_says() -> None:
    state = {
        "StartedAt": "2026-11-29T10:00:00.123456789Z",
        "FinishedAt": "2026-11-29T10:00:03.623456789Z",
    }
    assert killer.lasted(state) == 3.5
    assert killer.lasted(state | {"FinishedAt": "0001-01-01T00:00:00Z"}) is None


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (OLD, ""),
        ("aaa111", "the schema was between both: aaa111"),
        ("not known (nothing answers)", "the schema after the kill is not known (nothing answers)"),
    ],
)
def test_a_kill_tells_each_thing_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, schema: str, said: str
) -> None:
    monkeypatch.setattr(killer, "connect", lambda: Containers(0))
    monkeypatch.setattr(locks, "held", lambda stack: [])
    monkeypatch.setattr(kills, "_schema", lambda *_: schema)
    before = SimpleNamespace(stack="local", components=(), tracking_uri="")
    monkeypatch.setattr(look, "target", lambda stack: before)
    monkeypatch.setattr(look, "audit", lambda *_: (False, "lost 3"))
    monkeypatch.setattr(serving, "now", lambda *_: OLD)
    monkeypatch.setattr(copies, "configure", lambda *_: None)
    monkeypatch.setattr(updates, "up", lambda *_, **__: 9.0)
    monkeypatch.setattr(updates, "unlock", lambda stack: None)
    plan, filled = Plan(killer.ENGINE, 0.5), tmp_path / "filled"
    kill = kills.once("local", tmp_path, plan, Times(60.0, 3.0), HEADS, filled)
    wrong = "not all is there: lost 3; 3.16.1 serves in the end, not 3.17.2"
    assert kill.trouble == (f"{said}; {wrong}" if said else wrong)
    assert (kill.at_s, kill.times) == (None, Times(9.0, 3.0))


def test_a_kill_is_a_line() -> None:
    assert kills.line(killed()) == (
        "pulumi killed after 3.2 s: up pulumi up was ended by signal 9; schema of 3.16.1, nothing "
        "served; up again 14.0 s: then 3.17.2, lost 0"
    )
    assert "was not there" in kills.line(killed(at_s=None))
    assert kills.line(killed(again_s=None, trouble="the second up failed")).endswith(
        "up again failed: the second up failed"
    )


def test_kills_are_drawn_by_the_seed_and_spare_no_victim() -> None:
    drawn = killer.plans(10, 1)
    assert drawn == killer.plans(10, 1)
    assert drawn != killer.plans(10, 2)
    assert {plan.victim for plan in drawn} == set(killer.VICTIMS)
    assert all(0 <= plan.share <= killer.LATEST for plan in killer.plans(100, 1))
    assert killer.plans(0, 1) == []


class Load:
    """Stands in for the workload: says that each change is due, and waits for its end."""

    def __init__(self, names: list[str]) -> None:
        self.names, self.arguments = names, list[str]()
        self.ends: dict[str, str] = {}

    def run(
        self, stack: str, name: str, arguments: list[str], folder: Path, *, env: dict[str, str]
    ) -> Status:
        self.arguments = arguments
        between = Path(env[handover.FOLDER])
        for change in self.names:
            handover.tell(between, change, Step.DUE)
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and change not in self.ends:
                for step in (Step.DONE, Step.FAILED):
                    if handover.told(between, change, step) is not None:
                        self.ends[change] = step
                threading.Event().wait(0.01)
        return Status.GOOD


def test_each_change_is_made_when_it_is_due(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load, done = Load(["backup", "upgrade"]), list[str]()
    monkeypatch.setattr(workload, "run", load.run)
    monkeypatch.setattr(files, "config", lambda stack: {"kubernetes": {"load_inside": True}})

    def fail() -> None:
        done.append("upgrade")
        raise ui.SetupError("pulumi up failed with status 255")

    changes = [Change("backup", lambda: done.append("backup")), Change("upgrade", fail)]
    assert under_load.run("k8s", "quick", tmp_path, changes) is Status.GOOD
    assert done == ["backup", "upgrade"]
    assert load.ends == {"backup": Step.DONE, "upgrade": Step.FAILED}
    assert load.arguments[load.arguments.index("--fault") + 1] == "backup,upgrade"
    assert "--outside" in load.arguments
    assert "pulumi up failed with status 255" in capsys.readouterr().err


def test_a_load_that_ends_before_has_nothing_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(workload, "run", Load([]).run)
    monkeypatch.setattr(files, "config", lambda stack: {})
    changed: list[str] = []
    changes = [Change("upgrade", lambda: changed.append("upgrade"))]
    assert under_load.run("local", "quick", tmp_path, changes) is Status.GOOD
    assert changed == []
