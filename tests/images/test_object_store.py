"""The object stores' images: one contract, held by both engines."""

import contextlib
import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]

from tests.images.object_store import (
    BUCKET,
    PASSWORD,
    ROOT,
    ROOT_PASSWORD,
    SEAWEEDFS,
    USER,
    VOLUME,
    ObjectStore,
    write_secrets,
)
from tests.images.sandbox import Sandbox, ends, execute, logs, wait_until

pytestmark = pytest.mark.plugins

MEBIBYTE = 2**20
DENIED = {"AccessDenied", "403"}
OTHER = "another-bucket"


@pytest.fixture
def own(store: ObjectStore, sandbox: Sandbox, tmp_path: Path) -> Iterator[ObjectStore]:
    """A store on an empty volume that one test may break."""
    secrets = write_secrets(tmp_path / "secrets")
    own = ObjectStore(sandbox, store.engine, store.image, secrets)
    yield own
    own.container.remove(force=True)


def code(call: Callable[[], object]) -> str:
    """Return the error code that S3 refuses a call with."""
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


def body(client: Any, key: str, **options: Any) -> bytes:
    content = client.get_object(Bucket=BUCKET, Key=key, **options)["Body"].read()
    assert isinstance(content, bytes)
    return content


def status(url: str, method: str = "GET", content: bytes | None = None) -> int:
    """Return the status of a plain HTTP request, without any credentials beside the URL's."""
    request = urllib.request.Request(url, data=content, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_user_reaches_nothing_but_its_bucket(store: ObjectStore) -> None:
    root, user = store.root(), store.client()
    root.create_bucket(Bucket=OTHER)
    root.put_object(Bucket=OTHER, Key="key", Body=b"not for the user")
    user.put_object(Bucket=BUCKET, Key="key", Body=b"for the user")

    assert [bucket["Name"] for bucket in user.list_buckets()["Buckets"]] == [BUCKET]
    other = {"Bucket": OTHER, "Key": "key"}
    refused: list[Callable[[], object]] = [
        lambda: user.get_object(**other),
        lambda: user.head_object(**other),
        lambda: user.put_object(**other, Body=b""),
        lambda: user.delete_object(**other),
        lambda: user.head_bucket(Bucket=OTHER),
        lambda: user.list_objects_v2(Bucket=OTHER),
        lambda: user.list_object_versions(Bucket=OTHER),
        lambda: user.create_multipart_upload(**other),
        lambda: user.copy_object(Bucket=BUCKET, Key="copy", CopySource=other),
        lambda: user.copy_object(**other, CopySource={"Bucket": BUCKET, "Key": "key"}),
        lambda: user.delete_bucket(Bucket=OTHER),
        lambda: user.create_bucket(Bucket="a-third-bucket"),
    ]
    assert [code(call) in DENIED for call in refused] == [True] * len(refused)
    found = root.get_object(**other)["Body"].read()
    assert found == b"not for the user"


def test_user_cannot_change_its_bucket_or_remove_versions(store: ObjectStore) -> None:
    user = store.client()
    version = user.put_object(Bucket=BUCKET, Key="kept", Body=b"first")["VersionId"]
    user.delete_object(Bucket=BUCKET, Key="kept")
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "*"}
    rule = {"ID": "all", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}
    refused: list[Callable[[], object]] = [
        lambda: user.delete_object(Bucket=BUCKET, Key="kept", VersionId=version),
        lambda: user.delete_bucket(Bucket=BUCKET),
        lambda: user.put_bucket_versioning(
            Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"}
        ),
        lambda: user.put_bucket_policy(
            Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [everyone]})
        ),
        lambda: user.put_bucket_lifecycle_configuration(
            Bucket=BUCKET, LifecycleConfiguration={"Rules": [rule]}
        ),
    ]
    assert [code(call) in DENIED for call in refused] == [True] * len(refused)
    assert body(user, "kept", VersionId=version) == b"first"


def test_wrong_credentials_and_none_are_refused(store: ObjectStore) -> None:
    store.client().put_object(Bucket=BUCKET, Key="key", Body=b"")
    for user, password, expected in (
        (USER, "not-the-password", "SignatureDoesNotMatch"),
        (ROOT, PASSWORD, "SignatureDoesNotMatch"),
        ("nobody", PASSWORD, "InvalidAccessKeyId"),
        ("minioadmin", "minioadmin", "InvalidAccessKeyId"),
    ):
        assert code(store.client(user, password).list_buckets) == expected
    assert status(f"{store.endpoint}/{BUCKET}/key") == 403
    assert status(f"{store.endpoint}/{BUCKET}") == 403
    assert status(f"{store.endpoint}/{BUCKET}/key", "PUT", b"x") == 403


def test_only_what_checks_a_credential_listens_to_others(store: ObjectStore) -> None:
    table = execute(store.container, "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
    listening = re.findall(r"^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) \S+ 0A ", table, re.MULTILINE)
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    # Docker's own name server, which some of its versions show in the container.
    loopback.add("0B00007F")
    ports = {int(port, 16) for address, port in listening if address not in loopback}

    assert ports == store.engine.ports
    if store.engine is SEAWEEDFS:
        assert not _becomes_administrator(store)


def _becomes_administrator(store: ObjectStore) -> bool:
    """Send SeaweedFS's S3 server a new administrator over gRPC; tell whether it takes him."""

    def message(*fields: tuple[int, bytes]) -> bytes:
        return b"".join(bytes([number << 3 | 2, len(part)]) + part for number, part in fields)

    credential = message((1, b"intruder"), (2, b"intruders-password"))
    identity = message((1, b"intruder"), (2, credential), (3, b"Admin"))
    store.container.reload()
    [network] = store.container.attrs["NetworkSettings"]["Networks"].values()
    with grpc.insecure_channel(f"{network['IPAddress']}:19000") as channel:
        put = channel.unary_unary("/messaging_pb.SeaweedS3IamCache/PutIdentity")
        with contextlib.suppress(grpc.RpcError):
            put(message((1, identity)), timeout=10)
    intruder = store.client("intruder", "intruders-password")
    return code(intruder.list_buckets) != "InvalidAccessKeyId"


def test_overwritten_and_deleted_objects_are_still_there_as_versions(store: ObjectStore) -> None:
    user, key = store.client(), {"Bucket": BUCKET, "Key": "versions/model"}
    assert user.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"

    first = user.put_object(**key, Body=b"first")["VersionId"]
    second = user.put_object(**key, Body=b"second")["VersionId"]
    assert body(user, key["Key"]) == b"second"
    assert user.delete_object(**key)["DeleteMarker"] is True

    assert code(lambda: user.get_object(**key)) == "NoSuchKey"
    assert user.list_objects_v2(Bucket=BUCKET, Prefix=key["Key"])["KeyCount"] == 0
    listing = user.list_object_versions(Bucket=BUCKET, Prefix=key["Key"])
    assert [version["VersionId"] for version in listing["Versions"]] == [second, first]
    assert len(listing["DeleteMarkers"]) == 1
    assert body(user, key["Key"], VersionId=first) == b"first"


def test_many_objects_are_listed_and_deleted(store: ObjectStore) -> None:
    user = store.client()
    keys = [f"many/{number:04}" for number in range(300)]
    for key in keys:
        user.put_object(Bucket=BUCKET, Key=key, Body=key.encode())

    pages = user.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix="many/", PaginationConfig={"PageSize": 100}
    )
    assert [found["Key"] for page in pages for found in page.get("Contents", [])] == keys
    folders = user.list_objects_v2(Bucket=BUCKET, Delimiter="/")["CommonPrefixes"]
    assert {"Prefix": "many/"} in folders
    answer = user.delete_objects(
        Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
    )
    assert "Errors" not in answer
    assert user.list_objects_v2(Bucket=BUCKET, Prefix="many/")["KeyCount"] == 0


def test_multipart_upload_appears_whole_or_not_at_all(store: ObjectStore) -> None:
    user, key = store.client(), {"Bucket": BUCKET, "Key": "large/model"}
    parts = [os.urandom(16 * MEBIBYTE) for _ in range(4)]
    upload = user.create_multipart_upload(**key)["UploadId"]
    tags = []
    for number, part in enumerate(parts, start=1):
        answer = user.upload_part(**key, UploadId=upload, PartNumber=number, Body=part)
        tags.append({"PartNumber": number, "ETag": answer["ETag"]})

    assert code(lambda: user.head_object(**key)) == "404"
    assert user.list_objects_v2(Bucket=BUCKET, Prefix="large/")["KeyCount"] == 0
    listed = user.list_parts(**key, UploadId=upload)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [
        (number, 16 * MEBIBYTE) for number in range(1, 5)
    ]
    user.complete_multipart_upload(**key, UploadId=upload, MultipartUpload={"Parts": tags})

    digest = hashlib.sha256(body(user, key["Key"])).hexdigest()
    assert digest == hashlib.sha256(b"".join(parts)).hexdigest()
    middle = body(user, key["Key"], Range=f"bytes={16 * MEBIBYTE - 3}-{16 * MEBIBYTE + 2}")
    assert middle == parts[0][-3:] + parts[1][:3]


def test_aborted_multipart_upload_leaves_nothing(store: ObjectStore) -> None:
    user, key = store.client(), {"Bucket": BUCKET, "Key": "aborted"}
    upload = user.create_multipart_upload(**key)["UploadId"]
    user.upload_part(**key, UploadId=upload, PartNumber=1, Body=os.urandom(5 * MEBIBYTE))
    uploads = user.list_multipart_uploads(Bucket=BUCKET, Prefix="aborted")["Uploads"]
    assert [found["UploadId"] for found in uploads] == [upload]
    user.abort_multipart_upload(**key, UploadId=upload)

    assert "Uploads" not in user.list_multipart_uploads(Bucket=BUCKET, Prefix="aborted")
    assert user.list_object_versions(Bucket=BUCKET, Prefix="aborted").get("Versions", []) == []


def test_presigned_urls_put_and_get_what_they_were_made_for(store: ObjectStore) -> None:
    user, key = store.client(), {"Bucket": BUCKET, "Key": "presigned/one"}
    put = user.generate_presigned_url("put_object", Params=key)
    get = user.generate_presigned_url("get_object", Params=key)
    content = os.urandom(MEBIBYTE)

    assert status(put, "PUT", content) == 200
    with urllib.request.urlopen(get) as answer:
        assert answer.read() == content
    assert status(get, "PUT", b"x") == 403
    assert status(get.replace("presigned/one", "presigned/two")) == 403
    elsewhere = user.generate_presigned_url("get_object", Params=key | {"Bucket": OTHER})
    assert status(elsewhere) == 403


def test_presigned_multipart_upload(store: ObjectStore) -> None:
    user, key = store.client(), {"Bucket": BUCKET, "Key": "presigned/large"}
    parts = [os.urandom(5 * MEBIBYTE), os.urandom(1000)]
    upload = user.create_multipart_upload(**key)["UploadId"]
    tags = []
    for number, part in enumerate(parts, start=1):
        where = key | {"UploadId": upload, "PartNumber": number}
        url = user.generate_presigned_url("upload_part", Params=where)
        with urllib.request.urlopen(urllib.request.Request(url, part, method="PUT")) as answer:
            tags.append({"PartNumber": number, "ETag": answer.headers["ETag"]})
    user.complete_multipart_upload(**key, UploadId=upload, MultipartUpload={"Parts": tags})

    assert body(user, key["Key"]) == b"".join(parts)


def test_secrets_are_nowhere_to_be_seen(store: ObjectStore) -> None:
    store.container.reload()
    seen = json.dumps(store.container.attrs) + json.dumps(store.container.image.attrs)  # type: ignore[union-attr]
    seen += logs(store.container)
    script = 'for file in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do cat "$file"; echo; done'
    inside = execute(store.container, "bash", "-c", script).stdout
    assert "OBJECT_STORE_BUCKET" in inside
    assert "server" in inside
    for secret in (PASSWORD, ROOT_PASSWORD):
        assert secret not in seen + inside
        assert json.dumps(secret)[1:-1] not in seen + inside


def test_runs_without_privileges_on_a_read_only_root(store: ObjectStore) -> None:
    facts = execute(store.container, "cat", "/proc/self/status").stdout
    assert re.search(rf"^Uid:\s+{store.engine.uid}\s", facts, re.MULTILINE)
    assert re.search(r"^CapBnd:\s+0+$", facts, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", facts, re.MULTILINE)
    attempt = execute(store.container, "touch", "/usr/local/bin/x")
    assert "Read-only file system" in attempt.stderr


def test_nobody_sees_a_server_before_it_is_right(own: ObjectStore) -> None:
    root = None

    def versioning() -> object:
        nonlocal root
        root = root or own.root()
        try:
            return root.get_bucket_versioning(Bucket=BUCKET)
        except BotoCoreError:
            # No connection: the server does not listen yet.
            return None
        except ClientError as error:
            # MinIO listens before it has read its own state, and says so.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 503:
                return None
            raise

    found: Any = None

    def answers() -> bool:
        nonlocal found
        found = versioning()
        return found is not None

    wait_until(answers, 120, "the server answers")
    assert found["Status"] == "Enabled"
    own.wait()


def test_killed_after_an_acknowledgement_it_has_the_object(own: ObjectStore) -> None:
    own.wait()
    written: dict[str, bytes] = {}
    for sizes in ((0, 1, 16 * 1024), (MEBIBYTE, 6 * MEBIBYTE)):
        user = own.client()
        for size in sizes:
            for number in range(3):
                key = f"{size}/{number}"
                written[key] = os.urandom(size)
                user.put_object(Bucket=BUCKET, Key=key, Body=written[key])
        own.restart(kill=True)

    user = own.client()
    assert {key: body(user, key) for key in written} == written
    listed = user.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert {found["Key"] for found in listed} == set(written)


def test_volume_keeps_everything_when_the_container_is_replaced(
    own: ObjectStore, sandbox: Sandbox
) -> None:
    own.wait()
    own.client().put_object(Bucket=BUCKET, Key="kept", Body=b"first")
    own.client().put_object(Bucket=BUCKET, Key="kept", Body=b"second")
    own.container.stop(timeout=30)
    own.container.reload()
    assert own.container.attrs["State"]["ExitCode"] in (0, 143), "it stopped in time"
    own.container.remove()
    replacement = ObjectStore(sandbox, own.engine, own.image, own.secrets, volume=own.volume)
    own.container = replacement.wait().container

    user = own.client()
    assert body(user, "kept") == b"second"
    assert len(user.list_object_versions(Bucket=BUCKET)["Versions"]) == 2


def test_changed_passwords_and_names_take_effect_at_the_next_start(
    own: ObjectStore, sandbox: Sandbox
) -> None:
    own.wait()
    own.client().put_object(Bucket=BUCKET, Key="kept", Body=b"kept")
    write_secrets(own.secrets, "another-password", "another-root-password")
    own.restart(kill=True)

    assert body(own.client(USER, "another-password"), "kept") == b"kept"
    assert own.client(ROOT, "another-root-password").list_buckets()["Buckets"]
    for user, password in ((USER, PASSWORD), (ROOT, ROOT_PASSWORD)):
        old = own.client(user, password)
        assert code(old.list_buckets) == "SignatureDoesNotMatch"

    own.container.remove(force=True)
    environment = {"OBJECT_STORE_USER": "renamed"}
    renamed = ObjectStore(
        sandbox, own.engine, own.image, own.secrets, volume=own.volume, environment=environment
    )
    own.container = renamed.wait().container
    assert body(own.client("renamed", "another-password"), "kept") == b"kept"
    old = own.client(USER, "another-password")
    assert code(old.list_buckets) == "InvalidAccessKeyId"


def test_sessions_that_the_user_made_end_at_the_next_start(own: ObjectStore) -> None:
    own.wait()
    sts = own.client(service="sts")
    role = {"RoleArn": "arn:aws:iam::000000000000:role/any", "RoleSessionName": "session"}
    if own.engine is SEAWEEDFS:
        # It has no such service, and says so without the XML that boto3 expects.
        with pytest.raises((ClientError, ResponseParserError)):
            sts.assume_role(**role)
        return
    keys = sts.assume_role(**role)["Credentials"]
    arguments = (keys["AccessKeyId"], keys["SecretAccessKey"])
    token = {"aws_session_token": keys["SessionToken"]}
    assert own.client(*arguments, **token).list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    own.restart(kill=True)

    session = own.client(*arguments, **token)
    assert code(lambda: session.list_objects_v2(Bucket=BUCKET)) == "InvalidAccessKeyId"


def test_ready_tells_a_frozen_server_and_a_missing_bucket(own: ObjectStore) -> None:
    own.wait()
    server = {"minio": "minio", "seaweedfs": "weed"}[own.engine.name]
    script = (
        'for file in /proc/[0-9]*/comm; do if [ "$(cat "$file")" = "$1" ]; '
        'then file=${file#/proc/}; kill "-$2" "${file%/comm}"; fi; done'
    )

    def signal(name: str) -> None:
        done = execute(own.container, "bash", "-c", script, "signal", server, name)
        assert done.returncode == 0, done.stderr

    signal("STOP")
    assert not own.is_ready()
    signal("CONT")
    wait_until(own.is_ready, 120, "the server is ready again")

    own.root().delete_bucket(Bucket=BUCKET)
    assert not own.is_ready()
    own.restart(kill=True)
    assert own.client().get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"


IMPATIENT = """#!/bin/sh
test "$1 $2" = "--wait 30" || exit 99
shift 2
exec /usr/bin/flock --wait 1 "$@"
"""
"""The command that waits for the lock, which waits for a second instead of thirty."""


def test_volume_serves_one_container_at_a_time(
    own: ObjectStore, sandbox: Sandbox, tmp_path: Path
) -> None:
    own.wait()
    flock = tmp_path / "flock"
    flock.write_text(IMPATIENT)
    flock.chmod(0o755)
    mounts = (f"{flock}:/usr/local/bin/flock:ro",)
    second = ObjectStore(
        sandbox, own.engine, own.image, own.secrets, volume=own.volume, mounts=mounts
    )
    exit_status, output = ends(second.container, 90)
    assert exit_status == 1
    assert output == (
        f"{own.engine.name}: another container has run on this volume for 30 s: stop it first\n"
    )
    assert own.is_ready()


@pytest.mark.parametrize(
    ("environment", "password", "root", "message"),
    [
        ({"OBJECT_STORE_BUCKET": ""}, PASSWORD, PASSWORD, "OBJECT_STORE_BUCKET is '': give 3"),
        ({"OBJECT_STORE_BUCKET": "Up"}, PASSWORD, PASSWORD, "OBJECT_STORE_BUCKET is 'Up'"),
        ({"OBJECT_STORE_BUCKET": "a/../b"}, PASSWORD, PASSWORD, "OBJECT_STORE_BUCKET is 'a/../b'"),
        ({"OBJECT_STORE_USER": 'x"y'}, PASSWORD, PASSWORD, "OBJECT_STORE_USER is 'x\"y'"),
        ({"OBJECT_STORE_USER": ROOT}, PASSWORD, PASSWORD, f"OBJECT_STORE_USER is '{ROOT}', the"),
        ({}, "short", PASSWORD, "/run/secrets/object-store-password is not one line of 8 to 40"),
        ({}, "two\nlines-of-it", PASSWORD, "/run/secrets/object-store-password is not one line"),
        ({}, PASSWORD, "", "/run/secrets/object-store-root-password is not one line of 8 to 40"),
    ],
)
def test_wrong_input_ends_the_start_with_one_line(
    store: ObjectStore,
    sandbox: Sandbox,
    tmp_path: Path,
    environment: dict[str, str],
    password: str,
    root: str,
    message: str,
) -> None:
    secrets = write_secrets(tmp_path / "secrets", password, root)
    wrong = ObjectStore(sandbox, store.engine, store.image, secrets, environment=environment)
    exit_status, output = ends(wrong.container)
    wrong.container.remove()
    assert exit_status == 1
    assert output.startswith(f"{store.engine.name}: {message}")
    assert output.count("\n") == 1


def test_missing_secret_and_foreign_volume_are_told(
    store: ObjectStore, sandbox: Sandbox, tmp_path: Path
) -> None:
    secrets = write_secrets(tmp_path / "secrets")
    (secrets / "object-store-root-password").unlink()
    missing = ObjectStore(sandbox, store.engine, store.image, secrets)
    assert ends(missing.container) == (
        1,
        f"{store.engine.name}: /run/secrets/object-store-root-password cannot be read: mount the "
        "password there\n",
    )
    folder = tmp_path / "roots"
    folder.mkdir(mode=0o755)
    foreign = ObjectStore(
        sandbox, store.engine, store.image, write_secrets(secrets), volume=str(folder)
    )
    assert ends(foreign.container) == (
        1,
        f"{store.engine.name}: {VOLUME} cannot be written by uid {store.engine.uid}: give the "
        "volume to that user\n",
    )
