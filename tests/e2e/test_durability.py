"""The audit on a real stack, and what it must not miss: settings that lose or double data.

They are in this file alone: no stack can be configured so.
"""

import re
import secrets
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from cryptography.fernet import Fernet
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Feedback, LoggedModelOutput

from infra.components import nginx
from infra.components.traces import ARCHIVE_FOLDER
from infra.outputs import ArtifactStore, Component
from scripts.archive import encryption, manifest
from scripts.archive.database import Database
from scripts.archive.host import host_of
from scripts.commands.backup import take
from tests.e2e import extra_containers, garbage
from tests.e2e.extra_containers import ExtraContainers
from tests.e2e.stack import Stack, deployed, eventually
from tests.otlp import export
from tests.watched import Watched
from workloads.history import history
from workloads.history.history import Kind
from workloads.history.wire import TOKEN_TAG, registered_name
from workloads.load.session import Session
from workloads.readback import server, stores
from workloads.target.target import Subject
from workloads.verdict.result import Durability, DurabilityVerdict

pytestmark = pytest.mark.e2e

SIGNED = "what a webhook is signed by"

TRIES = 3
"""Of hitting a moment in which PostgreSQL has not written what it acknowledged."""


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("audit")
    settings = {"zones": 2, "artifacts": "s3", "trace_archival": "1d"}
    with deployed("e2e-audit", folder, docker_client, **settings) as stack:
        yield stack


@pytest.fixture
def extras(stack: Stack, docker_client: docker.DockerClient) -> Iterator[ExtraContainers]:
    extras = ExtraContainers(docker_client, stack.name)
    try:
        yield extras
    finally:
        extras.close()


@pytest.fixture(scope="module")
def subject(stack: Stack) -> Subject:
    return stack.subject()


def log_models(watched: Watched, session: Session) -> None:
    """Write what else there is: a data set, a logged model, a registered one, a deleted version."""
    client, run = watched.client, watched.create_run(session)
    client.log_inputs(run, [DatasetInput(Dataset("diabetes", "ab12", "local", "{}"), [])])
    model = client.create_logged_model(
        watched.experiment_id, "model", run, tags={"team": "a"}, params={"depth": "6"}
    ).model_id
    client.finalize_logged_model(model, "READY")
    client.log_metric(run, "loss", 0.5, model_id=model)
    client.log_outputs(run, [LoggedModelOutput(model, 0)])
    name = registered_name(watched.experiment_id, session.token())
    client.create_registered_model(name, tags={"team": "a"})
    tags = {TOKEN_TAG: session.token()}
    source = f"mlflow-artifacts:/{watched.experiment_id}/{run}/artifacts/model"
    version = client.create_model_version(name, source, run, tags=tags).version
    client.set_registered_model_alias(name, "champion", version)
    client.set_model_version_tag(name, version, "stage", "tested")
    draft = client.create_model_version(name, source, run, tags={TOKEN_TAG: session.token()})
    client.delete_model_version(name, draft.version)


def judge_a_trace(watched: Watched, session: Session) -> None:
    """Write a trace, who judged it, the run that it belongs to, and a data set of evaluation."""
    client, run = watched.client, watched.create_run(session)
    store = client._tracking_client.store
    identity = secrets.token_bytes(16)
    root, child = (b"root0001", b"", 0), (b"child001", b"root0001", 1)
    export(watched.uri, watched.experiment_id, identity, root, child)
    trace_id = f"tr-{identity.hex()}"
    client.link_traces_to_run([trace_id], run)
    token = {TOKEN_TAG: session.token()}
    store.create_assessment(Feedback(name="score", value=1, trace_id=trace_id, metadata=token))
    dataset = client.create_dataset("questions", [watched.experiment_id], dict(token))
    store.upsert_dataset_records(dataset.dataset_id, [{"inputs": {"question": "why?"}}])


@pytest.fixture(scope="module")
def old(
    stack: Stack,
    subject: Subject,
    docker_client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> Watched:
    """Two traces of years ago, whose spans are in the artifact store by now."""
    watched = Watched(tmp_path_factory.mktemp("old"), subject.tracking_uri)
    with watched.calls() as session:
        judge_a_trace(watched, session)
        judge_a_trace(watched, session)
    # They make a pass as they start.
    docker_client.containers.get(f"mlflow-bench-{stack.name}-trace-jobs").restart()
    eventually(lambda: len(archived(subject, watched)) == 2)
    return watched


def archived(subject: Subject, watched: Watched) -> list[str]:
    """Return the keys of the archived spans of an experiment's traces."""
    client, bucket, _ = bucket_of(subject)
    folder = f"{ARCHIVE_FOLDER}/{watched.experiment_id}/"
    return [str(one["Key"]) for one in stores.objects(client, bucket, folder)]


def bucket_of(subject: Subject) -> Any:
    assert subject.target
    assert subject.secrets
    return stores.bucket_of(subject.target.artifact_store, subject.secrets.s3_credentials)


def lost(found: Durability) -> int:
    return sum(sets.lost for sets in found.kinds.values())


def kill_postgres(extras: ExtraContainers) -> None:
    """End it as a power cut does, and start it again."""
    postgres = extras.of("postgres")
    postgres.kill("SIGKILL")
    postgres.wait(timeout=180)
    postgres.start()
    eventually(lambda: postgres.exec_run(["ready"])[0] == 0)


def sql(extras: ExtraContainers, *statements: str) -> str:
    command = ["psql", "--no-psqlrc", "-qAt", "--set=ON_ERROR_STOP=1", "--host=/run/postgresql"]
    command += [f"--command={statement}" for statement in statements]
    status, output = extras.of("postgres").exec_run([*command, "--dbname=mlflow"])
    assert status == 0, output
    assert isinstance(output, bytes)
    return output.decode().strip()


def test_every_source_has_everything_also_after_a_kill_of_postgres(
    subject: Subject, extras: ExtraContainers, tmp_path: Path
) -> None:
    watched = Watched(tmp_path / "kept", subject.tracking_uri)
    with watched.calls() as session:
        for _ in range(4):
            watched.log_run(session)
        log_models(watched, session)
        judge_a_trace(watched, session)
    kill_postgres(extras)
    found = watched.judged(subject)
    assert found.verdict is DurabilityVerdict.PASS, found
    assert found.sources == ["mlflow-a-1", "mlflow-b-1", "postgres", "s3"]
    assert (found.not_read, found.read_errors, found.findings) == ([], [], [])
    assert set(found.kinds) == set(Kind)
    assert found.kinds["artifact"].acknowledged == 4
    answered = {operation.replica for operation in history.operations(watched.history)}
    assert answered == {"mlflow-a-1", "mlflow-b-1"}


def test_archived_spans_are_read_from_the_store_and_through_every_replica(
    subject: Subject, old: Watched
) -> None:
    found = old.judged(subject)
    assert found.verdict is DurabilityVerdict.PASS, found
    assert (found.not_read, found.read_errors, found.findings) == ([], [], [])
    assert found.kinds["span"].present == found.kinds["span"].acknowledged == 4


def test_archived_spans_that_are_lost_or_changed_are_flagged(
    subject: Subject, old: Watched
) -> None:
    client, bucket, _ = bucket_of(subject)
    key = archived(subject, old)[0]
    kept = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    trace = key.split("/")[3]
    try:
        client.delete_object(Bucket=bucket, Key=key)
        gone = old.judged(subject)
        client.put_object(Bucket=bucket, Key=key, Body=kept.replace(b"step", b"stop"))
        changed = old.judged(subject)
    finally:
        client.put_object(Bucket=bucket, Key=key, Body=kept)
    for found in (gone, changed):
        assert found.verdict is DurabilityVerdict.FAIL
        assert lost(found) == found.kinds["span"].lost == 2
        told = [line for line in found.findings if line.startswith("lost: span ")]
        assert len(told) == 2
        for line in told:
            assert f" of trace {trace}, acknowledged " in line
            assert "absent in mlflow-a-1, mlflow-b-1, s3, present in postgres" in line


def test_what_a_replica_that_is_away_holds_is_unknown(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PATIENCE_S", 1)
    watched = Watched(tmp_path / "away", subject.tracking_uri)
    with watched.calls() as session:
        watched.create_run(session)
    assert subject.target
    components = tuple(
        one.model_copy(update={"audit": "127.0.0.1:9"}) if one.name == "mlflow-b-1" else one
        for one in subject.target.components
    )
    target = subject.target.model_copy(update={"components": components})
    found = watched.judged(replace(subject, target=target))
    assert found.verdict is DurabilityVerdict.UNKNOWN
    assert found.sources == ["mlflow-a-1", "postgres", "s3"]
    assert found.kinds["run"].unread == 1
    assert found.read_errors[0].startswith("mlflow-b-1: ")


def test_artifacts_beside_a_replica_are_flagged_as_lost(
    subject: Subject, extras: ExtraContainers, tmp_path: Path
) -> None:
    names = ("local-1", "local-2")
    replicas = {name: extras.replica(name, "/tmp/artifacts") for name in names}
    for replica in replicas.values():
        extra_containers.wait_for(extra_containers.uri(replica))
    places = tuple(extra_containers.place(replica, name) for name, replica in replicas.items())
    address = extras.balancer("nginx", nginx.configuration(places))
    extra_containers.wait_for(address)
    watched = Watched(tmp_path / "local", address)
    with watched.calls() as session:
        for _ in range(4):
            watched.log_run(session)
    assert subject.target
    components = tuple(
        Component(
            name=name,
            kind="mlflow",
            container=str(replica.name),
            image="sha256:0",
            audit=extra_containers.uri(replica).removeprefix("http://"),
        )
        for name, replica in replicas.items()
    )
    changes = {"tracking_uri": address, "artifacts": "volume", "components": components}
    # What is read as the store itself is the folder of the first of them.
    store = ArtifactStore(uri="file:///tmp/artifacts")
    target = subject.target.model_copy(update=changes | {"artifact_store": store})
    found = watched.judged(Subject("local", address, target, subject.secrets))
    assert found.verdict is DurabilityVerdict.FAIL
    assert found.kinds["artifact"].lost == found.kinds["artifact"].acknowledged == 4
    assert lost(found) == 4, "only artifacts are"
    for line in found.findings:
        assert re.search(r" UTC \(.* by local-\d .*absent in local-\d.*, present in local-\d", line)


def test_a_balancer_that_sends_posts_again_is_flagged_for_doubles(
    subject: Subject, extras: ExtraContainers, tmp_path: Path
) -> None:
    own = extras.of("mlflow-a-1")
    lossy = extras.lossy_proxy("lossy", own, "/runs/create")
    places = (extra_containers.place(lossy, "lossy"), extra_containers.place(own, "mlflow-a-1"))
    right = nginx.configuration(places)
    wrong = re.sub(r"(proxy_next_upstream [^;]+);", r"\1 non_idempotent;", right)
    wrong = wrong.replace("proxy_request_buffering off;", "proxy_request_buffering on;")
    assert wrong.count("non_idempotent;") > right.count("non_idempotent;")
    address = extras.balancer("nginx", wrong)
    extra_containers.wait_for(address)
    watched = Watched(tmp_path / "doubled", address)
    with watched.calls() as session:
        for _ in range(6):
            watched.create_run(session)
    made = list(history.operations(watched.history))
    assert all(one.outcome == "ok" and not one.retries for one in made), "the client sent each once"
    found = watched.judged(subject)
    assert found.verdict is DurabilityVerdict.FAIL
    assert found.kinds["run"].duplicates == 1
    assert len(found.findings) == 1, found.findings


def test_commits_that_are_not_awaited_are_flagged_as_lost(
    subject: Subject, extras: ExtraContainers, tmp_path: Path
) -> None:
    for number in range(TRIES):
        watched = Watched(tmp_path / f"unawaited-{number}", subject.tracking_uri)
        sql(
            extras,
            "alter system set synchronous_commit = off",
            "alter system set wal_writer_delay = '10s'",
            "select pg_reload_conf()",
        )
        with watched.calls() as session:
            for _ in range(6):
                watched.log_run(session)
        window = sql(extras, "select pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()")
        kill_postgres(extras)
        sql(extras, "alter system reset all", "select pg_reload_conf()")
        if window == "t":
            break
    else:
        pytest.skip(f"hit no window: PostgreSQL had written all its log {TRIES} times")
    found = watched.judged(subject)
    assert found.verdict is DurabilityVerdict.FAIL
    assert lost(found) > 0
    assert any("by mlflow-" in line for line in found.findings)


def one_line(done: "subprocess.CompletedProcess[str]") -> str:
    assert (done.returncode, done.stdout) == (2, ""), done.stdout
    [line] = done.stderr.splitlines()
    return line


def test_an_artifact_that_is_deleted_meanwhile_is_named(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = subject.target
    assert target
    watched = Watched(tmp_path / "deleted", subject.tracking_uri)
    with watched.calls() as session:
        run = watched.create_run(session)
        for name in ("kept.txt", "gone.txt"):
            watched.client.log_text(run, name, name)
    gone = f"{watched.experiment_id}/{run}/artifacts/gone.txt"
    dump = Database.dump

    def slow_dump(database: Database, path: Path) -> None:
        dump(database, path)
        place = f"{target.tracking_uri}/api/2.0/mlflow-artifacts/artifacts/{gone}"
        assert requests.delete(place, timeout=10).ok

    monkeypatch.setattr(Database, "dump", slow_dump)
    taken = take(target, tmp_path / "backup.tar")
    assert taken.deleted == [gone]
    assert manifest.read(tmp_path / "backup.tar") == taken
    assert f"{manifest.ARTIFACTS}{gone.replace('gone', 'kept')}" in taken.sha256


def test_what_was_deleted_is_removed_for_good(stack: Stack) -> None:
    garbage.collected(stack)  # of other tests
    garbage.leaves_nothing(stack)
    said = stack.script("gc").stdout
    assert "gc: nothing to remove, in " in said


def test_a_backup_under_load_has_everything_up_to_its_moment(
    stack: Stack,
    subject: Subject,
    old: Watched,
    docker_client: docker.DockerClient,
    tmp_path: Path,
) -> None:
    archive = tmp_path / "backup.tar"
    webhook = MlflowClient(subject.tracking_uri).create_webhook(
        "signed", "https://1.1.1.1/", ["model_version_tag.deleted"], secret=SIGNED
    )
    watched = Watched(tmp_path / "loading", subject.tracking_uri)
    ended = threading.Event()

    def load(session: Session) -> None:
        while not ended.is_set():
            watched.log_run(session)

    with watched.calls() as session:
        for _ in range(3):
            watched.log_run(session)
        loading = threading.Thread(target=load, args=(session,))
        loading.start()
        try:
            taken = stack.script("backup", archive)
            ended.wait(1)  # what is written now is in no backup
        finally:
            ended.set()
            loading.join()
    assert taken.returncode == 0, taken.stderr
    assert (archive.stat().st_mode & 0o777) == 0o600
    assert subject.secrets
    key = str(subject.secrets.s3_credentials).split("aws_secret_access_key")[1].split()[-1]
    for secret in (subject.secrets.database_password, key.lstrip("=")):
        assert secret.encode() not in archive.read_bytes()

    with deployed("e2e-restored", tmp_path, docker_client) as fresh:
        damaged = tmp_path / "damaged.tar"
        damaged.write_bytes(archive.read_bytes().replace(b"PGDMP", b"PGDMX", 1))
        assert "1 of" in one_line(fresh.script("restore", damaged))
        restored = fresh.script("restore", archive)
        assert restored.returncode == 0, restored.stderr
        elsewhere = fresh.subject()
        assert elsewhere.target
        host = host_of(elsewhere.target)
        keys = encryption.read(elsewhere.target, host)
        assert keys is not None
        secret = Database(elsewhere.target, host).ask("select secret from webhooks")
        assert Fernet(keys.webhook_key).decrypt(secret) == SIGNED.encode()
        webhooks = MlflowClient(elsewhere.tracking_uri).list_webhooks()
        assert [one.webhook_id for one in webhooks] == [webhook.webhook_id]
        moment = manifest.read(archive).moment_ns
        found = watched.judged(elsewhere, until_ns=moment)
        assert found.verdict is DurabilityVerdict.PASS, found.findings[:3]
        assert found.sources == ["mlflow-a-1", "postgres", "volume"]
        assert found.kinds["run"].acknowledged >= 3
        assert found.kinds["artifact"].acknowledged >= 3
        # Archived spans are in the other store now, and found there.
        of_old = old.judged(elsewhere)
        assert (of_old.verdict, of_old.not_read) == (DurabilityVerdict.PASS, []), of_old.findings
        assert of_old.kinds["span"].present == 4
        # The control: what came after the moment is missed, as soon as it is asked for.
        assert lost(watched.judged(elsewhere)) > 0
        assert "is not empty" in one_line(fresh.script("restore", archive))
        assert "File exists" in one_line(fresh.script("backup", archive))
        # It goes on as any other.
        log = Watched(tmp_path / "after", elsewhere.tracking_uri)
        with log.calls() as session:
            log.log_run(session)
        assert log.judged(elsewhere).verdict is DurabilityVerdict.PASS
