"""Services outside the stack are described without doubt, and no line shows a secret of theirs."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel, SecretStr
from sqlalchemy import make_url

from infra.checks.external import check_external
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.external import ExternalDatabase, ExternalS3, StoreKind
from infra.specification.load import load_spec
from infra.stores import external_database

ROOT = Path(__file__).resolve().parents[4]
SECRET = "never-to-be-seen"
BUCKET: dict[str, Any] = {
    "kind": "s3",
    "bucket": "team-mlflow",
    "endpoint": "https://s3.example.com:9000",
    "access_key": "team",
    "secret_key": SECRET,
}

URL = f"postgresql://mlflow:{SECRET}@db.example.com/mlflow"


def load(*secret_keys: str, **config: object) -> DeploymentSpec:
    values = {
        f"mlflow-bench:{key}": json.dumps(value) if isinstance(value, dict) else str(value)
        for key, value in config.items()
    }
    return load_spec(values, ROOT, [f"mlflow-bench:{key}" for key in secret_keys])


def complaint(*secret_keys: str, **config: object) -> str:
    with pytest.raises(SpecError) as caught:
        load(*secret_keys, **config)
    line = str(caught.value)
    assert "\n" not in line
    assert SECRET not in line
    return line


# what is changed in BUCKET (None: left out), what the line starts with, what else it says
BAD_BUCKETS = [
    ({"kind": "gcs"}, "artifacts: `kind` is not one of s3, nfs", ""),
    ({"kind": None}, "artifacts: `kind` is not one of s3, nfs", ""),
    ({"bucket": None}, "artifacts.bucket: field required", "--path artifacts.bucket mlflow-art"),
    ({"bucket": "Team"}, "artifacts.bucket: is not a bucket's name", "--path artifacts.bucket"),
    ({"bucket": "ab"}, "artifacts.bucket: is not a bucket's name", ""),
    ({"bucket": "a..b"}, "artifacts.bucket: is not a bucket's name", ""),
    ({"bucket": "10.0.0.1"}, "artifacts.bucket: is not a bucket's name", ""),
    ({"bucket": "s3://team"}, "artifacts.bucket: is not a bucket's name", ""),
    ({"endpoint": "s3.example.com"}, "artifacts.endpoint: is not http[s]://host[:port]", ""),
    ({"endpoint": "https://s3.example.com/x"}, "artifacts.endpoint: ", "a path"),
    ({"endpoint": "https://s3.example.com?x=1"}, "artifacts.endpoint: ", "query"),
    ({"endpoint": "https://s3.example.com:99999"}, "artifacts.endpoint: is not http", ""),
    ({"endpoint": f"https://a:{SECRET}@b"}, "artifacts.endpoint: carries a user", "secret_key"),
    ({"region": "Frankfurt am Main"}, "artifacts.region: is not the name", "eu-central-1"),
    ({"endpoint": None}, "artifacts.region: is missing; AWS S3 needs one", "endpoint"),
    ({"access_key": None}, "artifacts.access_key: is missing", "set both, or neither"),
    ({"secret_key": None}, "artifacts.secret_key: is missing", "set both, or neither"),
    ({"secret_key": ""}, "artifacts.secret_key: is empty", "--secret --path artifacts.secret_key"),
    ({"secret_key": f"{SECRET} "}, "artifacts.secret_key: is empty or has white space", ""),
    ({"secret_key": [SECRET]}, "artifacts.secret_key: input should be", "--secret"),
    ({"access_key": "a b"}, "artifacts.access_key: string should match", "access_key AKIA"),
    (
        {"access_key": None, "secret_key": None, "session_token": SECRET},
        "artifacts.session_token: belongs to keys",
        "",
    ),
    ({"prefix": "/a"}, "artifacts.prefix: is not a folder", "artifacts.prefix team/mlflow"),
    ({"prefix": "a/../b"}, "artifacts.prefix: is not a folder", ""),
    ({"prefix": "a/"}, "artifacts.prefix: is not a folder", ""),
    ({"secretkey": SECRET}, "artifacts.secretkey: is not a", "did you mean artifacts.secret_key?"),
    ({"user": "x"}, "artifacts.user: is not a", "pulumi config rm --path artifacts.user"),
]


@pytest.mark.parametrize(("change", "start", "also"), BAD_BUCKETS)
@pytest.mark.parametrize("encrypted", [("artifacts",), ()], ids=["encrypted", "plain"])
def test_a_bad_bucket_is_refused_in_one_line(
    change: dict[str, Any], start: str, also: str, encrypted: tuple[str, ...]
) -> None:
    given = {key: value for key, value in (BUCKET | change).items() if value is not None}
    line = complaint(*encrypted, artifacts=given)
    assert line.startswith(start)
    assert also in line


def test_a_bucket_s_settings_are_read() -> None:
    spec = load(
        "artifacts",
        artifacts=BUCKET | {"endpoint": "https://s3.example.com:9000/", "access_key": 123},
    )
    assert isinstance(spec.artifacts, ExternalS3)
    assert spec.artifacts.endpoint == "https://s3.example.com:9000"
    assert spec.artifacts.access_key == "123", "the command line writes digits as a number"
    assert spec.artifact_store is StoreKind.S3
    assert SECRET not in repr(spec)
    assert SECRET not in str(spec.model_dump())
    load("artifacts", zones=2, artifacts=BUCKET)


def test_a_secret_in_plain_text_is_refused() -> None:
    line = complaint(artifacts=BUCKET)
    assert line.startswith("artifacts.secret_key: is plain text in the stack file; replace it")
    assert line.endswith("pulumi config set --secret --path artifacts.secret_key")
    assert complaint(database={"url": URL}).startswith("database.url: is plain text")


@pytest.mark.parametrize(
    ("secret_key", "session_token", "exposed"),
    [
        ({"secure": "v1:a:b"}, {"secure": "v1:c:d"}, []),
        (SECRET, {"secure": "v1:c:d"}, ["secret_key"]),
        ({"secure": "v1:a:b"}, "temporary-token", ["session_token"]),
        # Of another stack file: this one is not in use.
        ("another", {"secure": "v1:c:d"}, []),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_each_secret_is_encrypted_by_itself(
    tmp_path: Path, secret_key: object, session_token: object, exposed: list[str], as_text: bool
) -> None:
    """Pulumi says only that some part of `artifacts` is encrypted."""
    written: object = BUCKET | {"secret_key": secret_key, "session_token": session_token}
    stack_file = tmp_path / "Pulumi.own.yaml"
    written = json.dumps(written) if as_text else written
    stack_file.write_text(yaml.safe_dump({"config": {"mlflow-bench:artifacts": written}}))
    values = {"mlflow-bench:artifacts": json.dumps(BUCKET | {"session_token": "temporary-token"})}
    said = ""
    try:
        load_spec(values, ROOT, values, stack_file)
    except SpecError as error:
        said = str(error)
    assert [line.partition(":")[0] for line in said.splitlines()] == [
        f"artifacts.{key}" for key in exposed
    ]
    assert all(" is plain text in the stack file" in line for line in said.splitlines())
    assert SECRET not in said


def test_a_secret_that_no_stack_file_holds_is_taken(tmp_path: Path) -> None:
    values = {"mlflow-bench:artifacts": json.dumps(BUCKET)}
    for text in (None, "", "config: {}", "config:\n  mlflow-bench:artifacts: {secure: v1:a:b}"):
        stack_file = tmp_path / "Pulumi.own.yaml"
        if text is not None:
            stack_file.write_text(text)
        load_spec(values, ROOT, values, stack_file)


def test_aws_needs_no_endpoint_and_no_keys() -> None:
    load(artifacts={"kind": "s3", "bucket": "team-mlflow", "region": "eu-central-1"})


# what is changed in a good description of a database, what the line starts with, what else it says
BAD_DATABASES = [
    (URL, "database.url: is missing: database has to be an object", "--secret --path database.url"),
    ({}, "database.url: field required", "--secret --path database.url"),
    ({"url": URL, "user": "x"}, "database.user: is not a configuration key", "config rm --path"),
    ({"url": URL, "ssl_mode": "on"}, "database.ssl_mode: input should be 'disable'", "verify-full"),
    ({"url": URL, "ssl_mode": "verify-ca"}, "database.ca: is missing; ssl_mode verify-ca", ""),
    ({"url": URL, "ca": "ca.pem"}, "database.ca: needs ssl_mode verify-ca or verify-full", ""),
]
BAD_URLS = [
    "",
    SECRET,
    f"mysql://mlflow:{SECRET}@db.example.com/mlflow",
    f"postgresql+psycopg2://mlflow:{SECRET}@db.example.com/mlflow",
    f"postgresql://mlflow:{SECRET}@/mlflow",
    f"postgresql://mlflow:{SECRET}@db.example.com",
    f"postgresql://mlflow:{SECRET}@db.example.com/",
    f"postgresql://mlflow:{SECRET}@db.example.com/a/b",
    f"postgresql://mlflow:{SECRET}@db.example.com:0/mlflow",
    f"postgresql://mlflow:{SECRET}@db.example.com:port/mlflow",
    f"postgresql://mlflow:{SECRET}/#?@db.example.com/mlflow",
    f"postgresql://:{SECRET}@db.example.com/mlflow",
    "postgresql://mlflow@db.example.com/mlflow",
    f"postgresql://mlflow:{SECRET}%0A@db.example.com/mlflow",
    f"postgresql://mlflow:{SECRET}@[::1/mlflow",
]


@pytest.mark.parametrize(("given", "start", "also"), BAD_DATABASES)
@pytest.mark.parametrize("encrypted", [("database",), ()], ids=["encrypted", "plain"])
def test_a_bad_database_is_refused_in_one_line(
    given: object, start: str, also: str, encrypted: tuple[str, ...]
) -> None:
    line = complaint(*encrypted, database=given)
    assert line.startswith(start)
    assert also in line


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_bad_url_is_refused_in_one_line(url: str) -> None:
    line = complaint("database", database={"url": url})
    assert line.startswith("database.url: is not postgresql://user:password@host:port/name; ")
    assert line.endswith("pulumi config set --secret --path database.url")


def test_settings_in_a_url_are_refused() -> None:
    line = complaint("database", database={"url": f"{URL}?sslmode=disable"})
    assert line.startswith("database.url: has settings after the name; set database.ssl_mode")


@pytest.mark.usefixtures("event_loop_there")
def test_a_url_is_taken_apart() -> None:
    url = "postgresql://ml%40flow:a%3Ab%2F%40c@[2001:db8::1]:6543/my%20runs"
    database = load("database", database={"url": url, "ssl_mode": "disable"}).database
    assert database is not None
    assert (database.user, database.password) == ("ml@flow", "a:b/@c")
    assert (database.host, database.port, database.name) == ("2001:db8::1", 6543, "my runs")
    assert ExternalDatabase(url=SecretStr(URL)).port == 5432
    used = external_database(database).address.uri
    place, _, settings = used.partition("?")
    assert place == "postgresql+psycopg2://ml%40flow@[2001:db8::1]:6543/my%20runs"
    assert settings.startswith("sslmode=disable&")
    understood = make_url(used)
    assert (understood.username, understood.database) == ("ml@flow", "my runs")
    assert (understood.host, understood.port) == ("2001:db8::1", 6543)


@pytest.mark.usefixtures("event_loop_there")
def test_certificates_are_found_from_the_project_folder() -> None:
    given = {"url": URL, "ssl_mode": "verify-full", "ca": "ca.pem"}
    database = load("database", database=given).database
    assert database is not None
    assert database.ca == ROOT / "ca.pem"
    used = external_database(database.model_copy(update={"ca": Path(__file__)})).address
    assert "?sslmode=verify-full&sslrootcert=/run/secrets/database-ca.crt&" in used.uri


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"database": {"url": URL}, "postgres_memory": "2g"}, "postgres_memory: is of no use"),
        ({"database": {"url": URL}, "postgres_image": "pg:17"}, "postgres_image: is of no use"),
        ({"artifacts": BUCKET, "s3_engine": "minio"}, "s3_engine: is of no use"),
        ({"artifacts": BUCKET, "object_store_memory": "1g"}, "object_store_memory: is of no use"),
        ({"artifacts": BUCKET, "object_store_image": "m:1"}, "object_store_image: is of no use"),
    ],
)
def test_settings_of_a_service_that_is_not_there_are_refused(
    config: dict[str, object], line: str
) -> None:
    assert complaint(*config, **config).startswith(line)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.1.1", "0.0.0.0", "[::1]"])
def test_an_address_that_is_another_one_in_a_container_is_refused(host: str) -> None:
    bucket = BUCKET | {"endpoint": f"http://{host}:9000"}
    database = {"url": f"postgresql://mlflow:{SECRET}@{host}/mlflow"}
    spec = load("artifacts", "database", artifacts=bucket, database=database)
    with pytest.raises(SpecError) as caught:
        check_external(spec)
    assert [line.split(" leads a server's container to itself")[0] for line in lines(caught)] == [
        f"artifacts.endpoint: {host.strip('[]')}",
        f"database.url: {host.strip('[]')}",
    ]


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("absent.pem", "cannot be read: no such file or directory; correct the path"),
        ("tests", "cannot be read: is a directory; correct the path"),
        ("README.md", "holds no certificates in PEM format; correct it"),
    ],
)
def test_certificates_that_are_none_are_refused(file: str, reason: str) -> None:
    # An address of no machine: the file is looked at first.
    bucket = BUCKET | {"endpoint": "https://192.0.2.1", "ca": file}
    with pytest.raises(SpecError) as caught:
        check_external(load("artifacts", artifacts=bucket))
    assert lines(caught) == [f"artifacts.ca: {ROOT / file}: {reason}"]


def lines(caught: pytest.ExceptionInfo[SpecError]) -> list[str]:
    return str(caught.value).splitlines()


def test_a_word_is_still_the_stack_s_own_store() -> None:
    assert load(artifacts="s3").artifacts is StoreKind.S3
    assert load(artifacts="s3").artifact_store is StoreKind.S3


def test_an_object_that_is_no_json_is_not_shown() -> None:
    complaint(artifacts='{"kind": "s3", "secret_key": "' + SECRET)


def test_no_encrypted_value_is_shown() -> None:
    assert "'many'" in complaint(replicas="many")
    assert complaint("replicas", replicas=SECRET).startswith("replicas: input should be")
    assert "has '***', which is not" in complaint("allowed_hosts", allowed_hosts=f"{SECRET}:1")
    assert "mlflow_memory: ***: 1 worker(s) need 950m" in complaint(
        "mlflow_memory", mlflow_memory="301m"
    )


@pytest.mark.parametrize("model", [ExternalS3, ExternalDatabase])
def test_a_key_has_an_example_unless_it_is_a_secret(model: type[BaseModel]) -> None:
    for name, field in model.model_json_schema()["properties"].items():
        secret = "'format': 'password'" in str(field)
        assert bool(model.model_fields[name].examples) is not secret, name


@pytest.mark.parametrize(("secret", "good"), [({"secure": "v1:AAAA"}, True), (SECRET, False)])
def test_editors_see_a_secret_in_plain_text(secret: object, good: bool) -> None:
    schema = json.loads((ROOT / "stacks/schema.json").read_text())
    content = {"config": {"mlflow-bench:artifacts": BUCKET | {"secret_key": secret}}}
    assert jsonschema.Draft202012Validator(schema).is_valid(content) is good


@pytest.mark.parametrize(
    ("key", "model"), [("artifacts", ExternalS3), ("database", ExternalDatabase)]
)
def test_the_docs_name_every_key(key: str, model: type[BaseModel]) -> None:
    docs = (ROOT / "docs/external-services.md").read_text()
    assert [name for name in model.model_fields if f"`{key}.{name}`" not in docs] == []
