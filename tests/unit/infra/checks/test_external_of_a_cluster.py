"""What only a cluster reaches is left to its schema job; what answers here is judged here."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.checks.external import check_external
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.load import load_spec
from tests.serving import Handler, serving
from tests.unit.infra.checks.test_external_nfs import own_address

SECRET = "never-to-be-seen"
KEYS = {"access_key": "team", "secret_key": SECRET}


def load(platform: str, **given: dict[str, str]) -> DeploymentSpec:
    bucket = given.get("artifacts", {}) | {"kind": "s3", "bucket": "team-mlflow"}
    values: dict[str, Any] = {"platform": platform, "artifacts": bucket} | {
        key: value for key, value in given.items() if key != "artifacts"
    }
    if platform == "kubernetes":
        values["kubernetes"] = {"context": "here"}
    config = {
        f"mlflow-bench:{key}": json.dumps(value) if isinstance(value, dict) else value
        for key, value in values.items()
    }
    return load_spec(config, Path.cwd(), config)


def database(host: str, port: int = 5432) -> dict[str, str]:
    return {"url": f"postgresql://mlflow:{SECRET}@{host}:{port}/mlflow"}


def closed() -> int:
    with socket.create_server((own_address(), 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def answering(content: bytes) -> Iterator[int]:
    """A port where everybody is answered the same."""
    with socket.create_server((own_address(), 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.recv(100)
                connection.sendall(content)
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_what_only_the_cluster_reaches_is_told_and_not_refused() -> None:
    endpoint = f"http://{own_address()}:{closed()}"
    given = {
        "artifacts": KEYS | {"endpoint": endpoint},
        "database": database("db.team.svc.cluster.invalid"),
    }
    later = "the schema job asks again from inside the cluster"
    told = check_external(load("kubernetes", **given))
    assert [line.partition(": ")[0] for line in told] == ["artifacts", "database"]
    assert f"at {endpoint}: cannot be reached: " in told[0]
    assert "at db.team.svc.cluster.invalid:5432: its name is not known here" in told[1]
    for line in told:
        assert later in line
        assert SECRET not in line
        assert "\n" not in line
    # A container of this machine's Docker would not reach it either.
    with pytest.raises(SpecError) as caught:
        check_external(load("docker", **given))
    assert [line.partition(": ")[0] for line in str(caught.value).splitlines()] == [
        "artifacts",
        "database",
    ]


def test_a_database_that_nothing_listens_for_may_be_the_clusters() -> None:
    endpoint = {"endpoint": f"http://{own_address()}:{closed()}"}
    given = {"artifacts": KEYS | endpoint, "database": database(own_address(), closed())}
    assert "nothing listens there" in check_external(load("kubernetes", **given))[1]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not answer as PostgreSQL does"),
        (b"N", "speaks no TLS; set database.ssl_mode prefer"),
    ],
)
def test_a_database_that_answers_and_is_of_no_use_is_refused(answer: bytes, line: str) -> None:
    endpoint = {"endpoint": f"http://{own_address()}:{closed()}"}
    with answering(answer) as port:
        given = {"artifacts": KEYS | endpoint, "database": database(own_address(), port)}
        with pytest.raises(SpecError) as caught:
            check_external(load("kubernetes", **given))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_endpoint_that_answers_and_is_no_s3_is_refused() -> None:
    with answering(b"+OK POP3\r\n") as port:
        endpoint = {"endpoint": f"http://{own_address()}:{port}"}
        with pytest.raises(SpecError, match="does not answer as S3 does"):
            check_external(load("kubernetes", artifacts=KEYS | endpoint))


@contextmanager
def s3(status: int, region: str) -> Iterator[tuple[str, list[Any]]]:
    """An endpoint that answers every HEAD so; with the Authorization headers that it got."""
    got: list[Any] = []

    class Bucket(Handler):
        def do_HEAD(self) -> None:
            got.append(self.headers.get("Authorization"))
            self.answer(status, x_amz_bucket_region=region)

    with serving(Bucket, own_address()) as address:
        yield address, got


@pytest.mark.parametrize(
    ("status", "region", "line"),
    [
        (403, "eu-central-1", ""),
        (404, "eu-central-1", "there is no such bucket; create it or correct the name"),
        (403, "eu-west-1", "is in region 'eu-west-1', not 'eu-central-1'; correct it"),
    ],
)
def test_a_bucket_by_the_pods_role_is_asked_for_without_this_machines(
    status: int, region: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAPERSON")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    # Nobody waits for a metadata service either.
    fetch = "botocore.utils.InstanceMetadataFetcher.retrieve_iam_role_credentials"
    monkeypatch.setattr(fetch, lambda _: pytest.fail("the metadata service was asked"))
    with s3(status, region) as (endpoint, got):
        spec = load("kubernetes", artifacts={"endpoint": endpoint, "region": "eu-central-1"})
        if line:
            with pytest.raises(SpecError) as caught:
                check_external(spec)
            assert str(caught.value).endswith(line)
        else:
            assert check_external(spec) == []
    assert got == [None]
