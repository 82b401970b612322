"""Services outside the stack are described without doubt, and no line shows a secret of theirs."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from infra.external import ExternalS3, StoreKind
from infra.spec import DeploymentSpec, SpecError, load_spec

ROOT = Path(__file__).resolve().parents[2]
SECRET = "never-to-be-seen"
BUCKET: dict[str, Any] = {
    "kind": "s3",
    "bucket": "team-mlflow",
    "endpoint": "https://s3.example.com:9000",
    "access_key": "team",
    "secret_key": SECRET,
}


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
    ({"kind": "gcs"}, "artifacts: `kind` is not one of s3", ""),
    ({"kind": None}, "artifacts: `kind` is not one of s3", ""),
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
    spec = load(artifacts=BUCKET | {"endpoint": "https://s3.example.com:9000/", "access_key": 123})
    assert isinstance(spec.artifacts, ExternalS3)
    assert spec.artifacts.endpoint == "https://s3.example.com:9000"
    assert spec.artifacts.access_key == "123", "the command line writes digits as a number"
    assert spec.artifact_store is StoreKind.S3
    assert SECRET not in repr(spec)
    assert SECRET not in str(spec.model_dump())
    load(zones=2, artifacts=BUCKET)


def test_aws_needs_no_endpoint_and_no_keys() -> None:
    load(artifacts={"kind": "s3", "bucket": "team-mlflow", "region": "eu-central-1"})


def test_a_word_is_still_the_stack_s_own_store() -> None:
    assert load(artifacts="s3").artifacts is StoreKind.S3
    assert load(artifacts="s3").artifact_store is StoreKind.S3


def test_an_object_that_is_no_json_is_not_shown() -> None:
    complaint(artifacts='{"kind": "s3", "secret_key": "' + SECRET)


def test_no_encrypted_value_is_shown() -> None:
    assert "'many'" in complaint(replicas="many")
    assert complaint("replicas", replicas=SECRET).startswith("replicas: input should be")


@pytest.mark.parametrize("model", [ExternalS3])
def test_a_key_has_an_example_unless_it_is_a_secret(model: type[BaseModel]) -> None:
    for name, field in model.model_json_schema()["properties"].items():
        secret = "'format': 'password'" in str(field)
        assert bool(model.model_fields[name].examples) is not secret, name


@pytest.mark.parametrize(("secret", "good"), [({"secure": "v1:AAAA"}, True), (SECRET, False)])
def test_editors_see_a_secret_in_plain_text(secret: object, good: bool) -> None:
    schema = json.loads((ROOT / "stacks/schema.json").read_text())
    content = {"config": {"mlflow-bench:artifacts": BUCKET | {"secret_key": secret}}}
    assert jsonschema.Draft202012Validator(schema).is_valid(content) is good
