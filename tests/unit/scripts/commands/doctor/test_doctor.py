"""The doctor: what it makes of what it sees, and that it sees what is really there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.certificates import new_authority, signed
from infra.labels import LABEL_COMPONENT, LABEL_STACK
from scripts.commands.doctor import causes, certificates, indexes, machine, pods, ports, stacks
from scripts.commands.doctor.__main__ import report
from scripts.commands.doctor.finding import Finding, good, wrong
from scripts.commands.doctor.page import page
from scripts.shared import project
from scripts.stack import files
from scripts.stack.indexes import expected
from tests.certificates import ALREADY_EXPIRED
from tests.serving import Handler, serving

LINES = {
    "its former keys": "oidc: https://login.example.com/ml: ConnectionError; its former keys "
    "are used on",
    "QueuePool limit": "sqlalchemy.exc.TimeoutError: QueuePool limit of size 5 overflow 10 "
    "reached, connection timed out, timeout 30.00",
    "Invalid Host": "WARNING mlflow.server.fastapi_security: Rejected request with invalid Host "
    "header: ml.example.com:5000",
    "too many clients": "psycopg2.OperationalError: FATAL:  sorry, too many clients already",
    "upstream prematurely": "[error] 29#29: *5 upstream prematurely closed connection while "
    "reading response header from upstream",
    "no live": "[error] 29#29: *7 no live upstreams while connecting to upstream",
    "upstream timed": "[error] 29#29: *7 upstream timed out (110: Connection timed out) while "
    "reading response header",
    "upstream SSL": "[error] 29#29: *4 upstream SSL certificate verify error: (20:unable to get "
    "local issuer certificate) while SSL handshaking to upstream",
    "no encryption": 'FATAL:  no pg_hba.conf entry for host "10.89.0.1", user "mlflow", database '
    '"mlflow", no encryption',
    "too large body": "[error] 29#29: *9 client intended to send too large body: 33554432 bytes",
    "psycopg2": "ModuleNotFoundError: No module named 'psycopg'",
    "No space": "OSError: [Errno 28] No space left on device: '/tmp/upload'",
    "Child process": "INFO:     Child process [123] died",
    "password": 'FATAL:  password authentication failed for user "mlflow"',
    "revision": "alembic.util.exc.CommandError: Can't locate revision identified by 'abc'",
    "InvalidAccessKeyId": "botocore.exceptions.ClientError: An error occurred "
    "(InvalidAccessKeyId) when calling the PutObject operation",
    "Stale file": "OSError: [Errno 116] Stale file handle: '/artifacts/1'",
}
"""A real line for each known cause, by a word of its pattern."""


def test_every_known_cause_is_found_in_its_line_and_in_no_other() -> None:
    assert len(LINES) == len(causes.CAUSES)
    for line in LINES.values():
        assert len(list(causes.explain([line]))) == 1
    found = list(causes.explain([*LINES.values(), *LINES.values()]))
    assert {cause for cause, _, _ in found} == set(causes.CAUSES)
    assert {count for _, count, _ in found} == {2}


def test_the_page_is_made_of_the_known_causes() -> None:
    """Write it anew with `python -m scripts.commands.doctor.page > docs/troubleshooting.md`."""
    assert (project.ROOT / "docs" / "troubleshooting.md").read_text() == page()


@pytest.mark.parametrize(
    "line",
    [
        "INFO:     127.0.0.1:1234 - POST /api/2.0/mlflow/runs/log-batch HTTP/1.1 200 OK",
        "Rejected request with invalid Host header: elsewhere.invalid:5000",  # our own question
        "LOG:  database system is ready to accept connections",
        "",
    ],
)
def test_ordinary_lines_have_no_cause(line: str) -> None:
    assert list(causes.explain([line])) == []


def container(restart: str = "unless-stopped", **state: Any) -> stacks.Container:
    found = {"Running": True, "Paused": False, "OOMKilled": False, "ExitCode": 0} | state
    return {
        "Id": "1",
        "Name": "/mlflow-bench-x-postgres",
        "Config": {"Labels": {LABEL_STACK: "x", LABEL_COMPONENT: "postgres"}},
        "HostConfig": {"RestartPolicy": {"Name": restart}, "Memory": 1 << 28},
        "State": found,
        "RestartCount": found.pop("restarts", 0),
    }


@pytest.mark.parametrize(
    ("known", "seen", "why"),
    [
        (container(), ["postgres runs"], ""),
        (container("no", Running=False), ["postgres has done its work"], ""),
        (
            container("no", Running=False, ExitCode=1),
            ["postgres does not run"],
            "its process ended with status 1",
        ),
        (container(Running=False, ExitCode=137), ["postgres does not run"], "status 137"),
        (container(Running=False, OOMKilled=True), ["postgres was killed for its"], "256 MiB"),
        (container(Paused=True), ["postgres is paused"], "somebody froze it"),
        (
            container(Health={"Status": "unhealthy", "Log": [{"Output": "not ready: 503"}]}),
            ["postgres is not ready"],
            "its check says: not ready: 503",
        ),
        (container(Health={"Status": "unhealthy", "Log": []}), ["postgres is not"], "its check"),
        (container(Health={"Status": "starting"}), ["postgres runs"], ""),
        (container(restarts=3), ["postgres runs", "postgres was restarted 3 times"], ""),
    ],
)
def test_the_state_of_a_container(known: stacks.Container, seen: list[str], why: str) -> None:
    found = list(stacks.judge("x", known))
    assert [f.seen[: len(s)] for f, s in zip(found, seen, strict=True)] == seen
    assert why in found[0].why
    assert all(f.good or (f.why and f.remedy) for f in found)


def pod(phase: str = "Running", **container: Any) -> pods.Pod:
    known = {"ready": True, "restartCount": 0, "state": {"running": {}}} | container
    return {
        "metadata": {"name": "mlflow-1"},
        "status": {"phase": phase, "containerStatuses": [known]},
    }


ENDED = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}


@pytest.mark.parametrize(
    ("known", "seen", "why"),
    [
        (pod(), ["mlflow-1 runs"], ""),
        (pod("Succeeded", ready=False), ["mlflow-1 has done its work"], ""),
        (pod("Failed", ready=False), ["mlflow-1 has failed"], "its process ended"),
        (
            pod(ready=False, state={"waiting": {"reason": "ErrImagePull", "message": "no host"}}),
            ["mlflow-1 waits: ErrImagePull"],
            "no host",
        ),
        (pod(ready=False), ["mlflow-1 is not ready"], "readiness"),
        (
            pod(restartCount=2, lastState=ENDED),
            ["mlflow-1 runs", "mlflow-1 was restarted 2 times"],
            "OOMKilled (status 137)",
        ),
    ],
)
def test_the_state_of_a_pod(known: pods.Pod, seen: list[str], why: str) -> None:
    found = list(pods.judge("k8s", ["-n", "x"], known))
    assert [f.seen for f in found] == seen
    assert why in found[-1].why
    assert all(f.good or (f.why and "kubectl -n x" in f.remedy) for f in found)


def of(days: float) -> str:
    authority = new_authority("of a test")
    return signed(authority, "of a test", ["localhost"], days).certificate


def test_a_certificate_that_ends_soon_is_told_with_what_renews_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = {
        "postgres": of(90),
        "mlflow-a-1": of(29),
        "nginx": of(29),
        "object-store": None,
        "mlflow-b-1": "no certificate",
    }
    monkeypatch.setattr(files, "config", lambda _: {"tls": "true"})
    well, replica, front, unread = certificates.judge("s", shown)
    assert well.good
    assert [one.good for one in (replica, front, unread)] == [False] * 3
    assert replica.seen.startswith("mlflow-a-1 shows a certificate that ends on 20")
    assert replica.remedy == front.remedy == "pulumi up -s s, which renews it"
    assert unread.why == "it is not in PEM form"
    monkeypatch.setattr(files, "config", lambda _: {"tls": {"cert": "server.crt"}})
    chain = of(90) + of(ALREADY_EXPIRED)
    replica, front = certificates.judge("s", {"mlflow-a-1": of(29), "nginx": chain})
    assert replica.remedy == "pulumi up -s s, which renews it"
    assert front.remedy == "renew server.crt, then pulumi up -s s"
    assert "nginx shows a certificate that ended on 20" in front.seen


def test_a_port_forward_that_ended_by_itself_is_told(tmp_path: Path) -> None:
    log = tmp_path / "k8s.log"
    assert list(pods.ended_forward("k8s", log)) == []
    log.write_text("")
    assert list(pods.ended_forward("k8s", log)) == []
    log.write_text("exec: your session has ended\nended after 600 s in vain: the API refuses\n")
    [found] = pods.ended_forward("k8s", log)
    assert not found.good
    assert found.why == "ended after 600 s in vain: the API refuses"
    assert found.remedy == "pulumi up --refresh -s k8s"


@pytest.mark.parametrize(
    ("finding", "well"),
    [
        (machine.cores(2), True),
        (machine.cores(1), False),
        (machine.memory(3 << 30), True),
        (machine.memory(1 << 30), False),
        (machine.disk("Docker", Path("/"), 5 << 30), True),
        (machine.disk("Docker", Path("/"), 1 << 30), False),
        (ports.judge(5000, ["a", "b"], False, {}), True),
        (ports.judge(5000, ["a", "b"], True, {5000: "a"}), True),
        (ports.judge(5000, ["a", "b"], True, {5001: "a"}), False),
    ],
)
def test_machine_and_ports(finding: Finding, well: bool) -> None:
    assert finding.good is well
    assert well or (finding.why and finding.remedy)


def test_memory_is_read_as_linux_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:       24 kB\nMemAvailable:   16384 kB\n")
    assert machine.available_memory(path) == 1 << 24
    assert machine.available_memory(tmp_path / "none") is None


def test_what_is_wrong_is_printed_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [good("docker", "engine 20"), wrong("disk", "full", "images", "make room")]
    assert report(findings, everything=False) == 1
    output = capsys.readouterr().out
    assert "engine 20" not in output
    assert output.index("disk      full") < output.index("why: images") < output.index("make room")
    assert output.endswith("1 wrong, 1 well\n")
    assert report(findings[:1], everything=True) == 0
    assert "ok     docker" in capsys.readouterr().out


@pytest.fixture
def server() -> Iterator[tuple[str, list[int]]]:
    """A server that answers searches with a status of the test's choice."""
    status = [200]

    class Tracking(Handler):
        def do_POST(self) -> None:
            self.answer(status[0])

    with serving(Tracking) as address:
        yield address, status


def test_a_server_is_asked(server: tuple[str, list[int]]) -> None:
    address, status = server
    assert stacks.answer("x", address).good
    status[0] = 403
    found = stacks.answer("x", address)
    assert (found.seen, found.good) == (f"{address} answers with HTTP 403", False)
    assert "refuses the name" in found.why
    for nobody_there in (429, 502):
        status[0] = nobody_there
        assert stacks.answer("x", address).why == "nginx reaches no replica"
    assert "does not answer" in stacks.answer("x", "http://127.0.0.1:1").seen


def test_a_stack_that_is_not_there_is_wrong() -> None:
    (found,) = stacks.check(["never-deployed"])
    assert "no container" in found.seen


def psql(folder: Path, *lines: str, status: int = 0) -> list[str]:
    """A command that stands in for what runs psql beside PostgreSQL, and prints these lines."""
    script = folder / "beside"
    printed = "\n".join(lines)
    script.write_text(f"#!/bin/sh\ncat <<'END'\n{printed}\nEND\nexit {status}\n")
    script.chmod(0o755)
    return [str(script)]


def test_an_index_that_is_missing_is_told_with_the_statement_that_makes_it(tmp_path: Path) -> None:
    known = expected("3.17.2") or []
    wanted = next(one for one in known if "index_metrics_run_uuid " in one)
    (found,) = indexes.check("x", psql(tmp_path, "3.17.2", *known))
    assert found == good("x", f"has all {len(known)} indexes of mlflow 3.17.2")
    there = [one for one in known if one != wanted]
    (found,) = indexes.check("x", psql(tmp_path, "3.17.2", *there))
    assert not found.good
    assert found.seen == "the index index_metrics_run_uuid of mlflow 3.17.2 is missing"
    assert "CREATE INDEX CONCURRENTLY index_metrics_run_uuid ON" in found.remedy


def test_indexes_that_cannot_be_compared_are_not_passed_over(tmp_path: Path) -> None:
    (unknown,) = indexes.check("x", psql(tmp_path, "9.9.9", "CREATE INDEX a ON b USING btree (c)"))
    assert unknown == good("x", "has no list of mlflow 9.9.9's indexes to be compared with")
    (silent,) = indexes.check("x", psql(tmp_path, status=2))
    assert silent.seen == "its indexes cannot be looked at"
    assert "pulumi up --refresh -s x" in silent.remedy
