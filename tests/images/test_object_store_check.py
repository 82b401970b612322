"""The check of any S3 bucket, against both engines and against endpoints that are none."""

import datetime
import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.auth  # type: ignore[import-untyped]
import pytest
from pydantic import SecretStr

from infra.checks.s3 import S3Error, check
from infra.specification.external import ExternalS3, StoreKind
from tests.images.object_store import (
    BUCKET,
    MINIO,
    PASSWORD,
    ROOT,
    ROOT_PASSWORD,
    USER,
    ObjectStore,
    write_secrets,
)
from tests.images.sandbox import Sandbox
from tests.serving import Handler, running, serving

pytestmark = pytest.mark.plugins


def of_user(endpoint: str) -> ExternalS3:
    """The bucket of a store as its user reaches it."""
    return ExternalS3(
        kind=StoreKind.S3,
        bucket=BUCKET,
        endpoint=endpoint,
        access_key=USER,
        secret_key=SecretStr(PASSWORD),
    )


def changed(store: ExternalS3, /, **changes: Any) -> ExternalS3:
    """The same with other values, whether a stack file may have them or not."""
    secrets = {
        key: SecretStr(changes[key])
        for key in ("secret_key", "session_token")
        if changes.get(key) is not None
    }
    return store.model_copy(update=changes | secrets)


@pytest.fixture
def bucket(store: ObjectStore) -> ExternalS3:
    return of_user(store.endpoint)


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing that boto3 could find on this machine."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "absent"))


def complaint(bucket: ExternalS3) -> str:
    """Return the one line that the check raises, after the bucket and the endpoint."""
    with pytest.raises(S3Error) as caught:
        check(bucket)
    line = str(caught.value)
    assert "\n" not in line
    for secret in (bucket.secret_key, bucket.session_token):
        assert secret is None or secret.get_secret_value() not in line
    start = f"bucket {bucket.bucket!r} at {bucket.endpoint}: "
    assert line.startswith(start)
    return line.removeprefix(start)


def test_good_bucket_passes_and_is_left_empty(store: ObjectStore, bucket: ExternalS3) -> None:
    check(bucket)
    check(changed(bucket, access_key=ROOT, secret_key=ROOT_PASSWORD))
    prefix = "mlflow-bench-check-"
    assert store.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix)["KeyCount"] == 0
    listing = store.root().list_object_versions(Bucket=BUCKET, Prefix=prefix)
    # The administrator removes the version and the marker, the bucket's user may not.
    assert len(listing["Versions"]) == len(listing["DeleteMarkers"])


def test_wrong_keys(bucket: ExternalS3) -> None:
    remedy = "; correct the access key and the secret key of the stack"
    assert complaint(changed(bucket, access_key="nobody")) == (
        f"the access key is not known there{remedy}"
    )
    assert complaint(changed(bucket, secret_key="not-the-secret")) == (
        f"the secret key is not that of the access key{remedy}"
    )
    assert complaint(changed(bucket, session_token="not-a-token")).endswith(remedy)


@pytest.mark.usefixtures("no_credentials")
def test_missing_keys(bucket: ExternalS3) -> None:
    assert complaint(changed(bucket, access_key=None, secret_key=None)) == (
        "no credentials; give keys, or deploy where a role provides them"
    )


def test_wrong_bucket(bucket: ExternalS3) -> None:
    assert complaint(changed(bucket, bucket="no-such-bucket")) == (
        "write is denied; grant s3:PutObject to these credentials, or correct the name"
    )
    root = changed(bucket, access_key=ROOT, secret_key=ROOT_PASSWORD)
    assert complaint(changed(root, bucket="no-such-bucket")) == (
        "there is no such bucket; create it or correct the name"
    )
    assert complaint(changed(bucket, bucket="not a name")) == (
        "is not a name that a bucket can have; correct it"
    )


def test_clock_that_is_wrong(bucket: ExternalS3, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., datetime.datetime] = botocore.auth.get_current_datetime
    hour = datetime.timedelta(hours=1)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: real(*a, **k) - hour)
    line = complaint(bucket)
    assert line.startswith("its clock and this machine's (20")
    assert line.endswith(") are too far apart; set the time right")


def test_https_to_a_server_without_it(bucket: ExternalS3) -> None:
    assert bucket.endpoint is not None
    assert complaint(changed(bucket, endpoint=bucket.endpoint.replace("http", "https"))) == (
        "speaks no TLS; write the endpoint with http://"
    )


@pytest.mark.parametrize("store", [MINIO], indirect=True, ids=["minio"])
@pytest.mark.parametrize(
    ("denied", "line"),
    [
        ("s3:PutObject", "write is denied; grant s3:PutObject to"),
        ("s3:GetObject", "read is denied; grant s3:GetObject to"),
        ("s3:ListBucket", "list is denied; grant s3:ListBucket to"),
        ("s3:DeleteObject", "delete is denied; grant s3:DeleteObject to"),
    ],
)
def test_each_missing_permission(
    store: ObjectStore, bucket: ExternalS3, denied: str, line: str
) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": effect, "Action": [action], "Resource": ["arn:aws:s3:::*"]}
            for effect, action in (("Allow", "s3:*"), ("Deny", denied))
        ],
    }
    keys = store.client(service="sts").assume_role(
        RoleArn="arn:aws:iam::000000000000:role/any",
        RoleSessionName="session",
        Policy=json.dumps(policy),
    )["Credentials"]
    session = changed(
        bucket,
        access_key=keys["AccessKeyId"],
        secret_key=keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
    )
    assert complaint(session).startswith(line)


@pytest.fixture
def give_role(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], None]]:
    """EC2's metadata service as far as roles go; what is yielded sets the role's keys.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
    """
    role = "/latest/meta-data/iam/security-credentials/"
    answers = {"/latest/api/token": "token", role: "the-role"}

    class Metadata(Handler):
        def do_GET(self) -> None:
            self.answer(body=answers[self.path].encode())

        do_PUT = do_GET

    with serving(Metadata) as address:
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"{address}/")
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
        yield lambda keys: answers.update({f"{role}the-role": json.dumps(keys)})


@pytest.mark.parametrize("store", [MINIO], indirect=True, ids=["minio"])
def test_without_keys_the_machine_s_role_is_used_and_nothing_of_the_person_s(
    store: ObjectStore,
    bucket: ExternalS3,
    give_role: Callable[[dict[str, str]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keyless = changed(bucket, access_key=None, secret_key=None)
    keys = store.client(service="sts").assume_role(
        RoleArn="arn:aws:iam::000000000000:role/any", RoleSessionName="session"
    )["Credentials"]
    role = {
        "Code": "Success",
        "AccessKeyId": keys["AccessKeyId"],
        "SecretAccessKey": keys["SecretAccessKey"],
        "Token": keys["SessionToken"],
        "Expiration": keys["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a person's")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "which no server has")
    give_role(role)
    check(keyless)
    give_role(role | {"SecretAccessKey": "of-another-role"})
    assert "the secret key is not that of the access key" in complaint(keyless)


@pytest.mark.parametrize("store", [MINIO], indirect=True, ids=["minio"])
def test_a_prefix_is_enough(store: ObjectStore, bucket: ExternalS3) -> None:
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
                "Resource": [f"arn:aws:s3:::{BUCKET}/team/*"],
            },
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket"],
                "Resource": [f"arn:aws:s3:::{BUCKET}"],
                "Condition": {"StringLike": {"s3:prefix": "team/*"}},
            },
        ],
    }
    keys = store.client(service="sts").assume_role(
        RoleArn="arn:aws:iam::000000000000:role/any",
        RoleSessionName="session",
        Policy=json.dumps(policy),
    )["Credentials"]
    restricted = changed(
        bucket,
        access_key=keys["AccessKeyId"],
        secret_key=keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
    )
    assert complaint(restricted).startswith("write is denied")
    check(changed(restricted, prefix="team"))


@pytest.mark.parametrize("store", [MINIO], indirect=True, ids=["minio"])
def test_wrong_region(store: ObjectStore, sandbox: Sandbox, tmp_path: Path) -> None:
    abroad = ObjectStore(
        sandbox,
        store.engine,
        store.image,
        write_secrets(tmp_path / "secrets"),
        environment={"MINIO_REGION": "eu-west-1"},
    ).wait()
    bucket = of_user(abroad.endpoint)
    assert complaint(bucket) == "is in region 'eu-west-1', not 'us-east-1'; correct it"
    check(changed(bucket, region="eu-west-1"))
    abroad.container.remove(force=True)


def elsewhere(endpoint: str) -> ExternalS3:
    return of_user(endpoint)


def test_endpoint_that_cannot_be_reached() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert complaint(elsewhere(f"http://127.0.0.1:{port}")) == (
            "cannot be reached: Connection refused; is it running, and the endpoint right?"
        )
    assert complaint(elsewhere("http://no-such-host.invalid")).startswith("cannot be reached: ")
    without_scheme = changed(elsewhere("http://127.0.0.1:9000"), endpoint="127.0.0.1:9000")
    assert complaint(without_scheme).endswith("write the endpoint as http[s]://host[:port]")


@pytest.fixture
def web_server() -> Iterator[ThreadingHTTPServer]:
    """An HTTP server that is not S3."""

    class NoStore(Handler):
        def do_PUT(self) -> None:
            # The client waits for an answer before it sends the content.
            self.send_error(405)

    server = ThreadingHTTPServer(("127.0.0.1", 0), NoStore)
    with running(server):
        yield server


def test_endpoint_that_is_another_server(web_server: ThreadingHTTPServer) -> None:
    assert complaint(elsewhere(f"http://127.0.0.1:{web_server.server_port}")) == (
        "answers a write with HTTP 405, unlike S3; correct the endpoint"
    )


def test_certificate_that_nobody_signed(web_server: ThreadingHTTPServer, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    subprocess.run(
        [
            "openssl",
            *options.split(),
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    web_server.socket = context.wrap_socket(web_server.socket, server_side=True)
    line = complaint(elsewhere(f"https://localhost:{web_server.server_port}"))
    assert line == (
        "its TLS certificate is not trusted here: self-signed certificate; give its "
        "authority's in artifacts.ca"
    )
    trusted = changed(elsewhere(f"https://localhost:{web_server.server_port}"), ca=certificate)
    assert complaint(trusted).startswith("answers a write with HTTP 405"), "TLS is no obstacle"
    # And the other way round: no TLS where it is expected.
    assert complaint(elsewhere(f"http://localhost:{web_server.server_port}")).startswith(
        "does not answer as S3 does"
    )
