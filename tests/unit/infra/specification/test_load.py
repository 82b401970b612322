"""A stack file is refused with one line that names the key, the value and the remedy."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from infra import releases
from infra.components.capacity import capacity
from infra.releases import contents
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.exposure import exposed, exposures, is_on
from infra.specification.load import load_spec
from infra.specification.reference import reference
from infra.specification.tls import TlsFiles

ROOT = Path(__file__).resolve().parents[4]
EXTERNAL_S3 = '{"kind": "s3", "bucket": "team", "region": "eu-central-1"}'

# key, value, what the reason must say, what the remedy must say
BAD = [
    ("port", "0", "greater than or equal to 1", "set port 5000"),
    ("port", "-1", "greater than or equal to 1", "set port 5000"),
    ("port", "65536", "less than or equal to 65535", "set port 5000"),
    ("port", "http", "valid integer", "set port 5000"),
    ("port", "5000.5", "valid integer", "set port 5000"),
    ("port", "", "valid integer", "set port 5000"),
    ("port", '["5000"]', "valid integer", "set port 5000"),
    ("bind", "localhost", "IPv4", "set bind 127.0.0.1"),
    ("bind", "::1", "IPv4", "set bind 127.0.0.1"),
    ("bind", "127.0.0.1:5000", "IPv4", "set bind 127.0.0.1"),
    ("bind", "255.255.255.255", "no machine has this address", "set 127.0.0.1"),
    ("bind", "224.0.0.1", "no machine has this address", "set 127.0.0.1"),
    ("bind", "0.0.0.0", "403 Invalid Host header", "set allowed_hosts"),
    ("bind", "10.0.0.0.1", "valid IPv4 address", "set bind 127.0.0.1"),
    ("allowed_hosts", "::1", "bare host name", "set allowed_hosts"),
    ("allowed_hosts", "[127.0.0.1]", "bare host name", "set allowed_hosts"),
    ("bind", "192.168.1.5", "403 Invalid Host header", "set allowed_hosts"),
    ("allowed_hosts", "http://mlflow.example.com", "bare host name", "set allowed_hosts"),
    ("allowed_hosts", "mlflow.example.com:5000", "bare host name", "set allowed_hosts"),
    ("allowed_hosts", "*", "bare host name", "set allowed_hosts"),
    ("allowed_hosts", "good.example.com,bad host", "'bad host'", "set allowed_hosts"),
    ("allowed_hosts", '["a.example.com", 3]', "valid string", "set allowed_hosts"),
    ("allowed_hosts", '{"a": "b"}', "valid tuple", "set allowed_hosts"),
    ("artifacts", "S3", "'volume', 's3' or 'nfs'", "set artifacts volume"),
    ("nfs_client", "nfs4", "'auto', 'kernel' or 'fuse'", "set nfs_client auto"),
    ("artifacts", "", "'volume'", "set artifacts volume"),
    ("trace_archival", "30", "a number of minutes", "set trace_archival 30d"),
    ("trace_archival", "0d", "a number of minutes", "set trace_archival 30d"),
    ("trace_retention", "1w", "a number of minutes", "set trace_retention 365d"),
    ("trace_rollups", "daily", "valid boolean", "set trace_rollups true"),
    (
        "trace_rollup_schedule",
        "@daily",
        "a schedule of cron",
        "set trace_rollup_schedule '0 2 * * *'",
    ),
    ("trace_rollup_schedule", "0 25 * * *", "a schedule of cron", "set trace_rollup_schedule"),
    ("replicas", "0", "greater than or equal to 1", "set replicas 1"),
    ("replicas", "17", "less than or equal to 16", "set replicas 1"),
    ("zones", "0", "greater than or equal to 1", "set zones 2"),
    ("zones", "9", "less than or equal to 8", "set zones 2"),
    ("zones", "a,b", "valid integer", "set zones 2"),
    ("s3_engine", "ceph", "'minio' or 'seaweedfs'", "set s3_engine minio"),
    ("replicas", "many", "valid integer", "set replicas 1"),
    ("workers", "0", "greater than or equal to 1", "set workers 1"),
    ("workers", "65", "less than or equal to 64", "set workers 1"),
    ("workers", "all", "valid integer", "set workers 1"),
    ("jobs", "maybe", "valid boolean", "set jobs false"),
    ("jobs", "2", "valid boolean", "set jobs false"),
    ("subnets", "10.89.0.1/24", "valid IPv4 network", "set subnets 10.89.0.0/24"),
    ("subnets", "10.89.0.0/33", "valid IPv4 network", "set subnets 10.89.0.0/24"),
    ("subnets", "8.8.8.0/24", "not a private network", "set subnets 10.89.0.0/24"),
    ("subnets", "127.0.0.0/16", "not a private network", "set subnets 10.89.0.0/24"),
    ("subnets", "10.0.0.0/8", "/16 to /27", "set subnets 10.89.0.0/24"),
    ("subnets", "10.0.0.0/28", "/16 to /27", "set subnets 10.89.0.0/24"),
    ("subnets", "10.89.0.0/24,10.89.1.0/24", "2 given: each of the 1 zone", "give as many"),
    ("object_store_memory", "9", "amount of memory", "set object_store_memory 1g"),
    ("nginx_image", "nginx", "tag or digest", "set nginx_image"),
    ("mlflow_memory", "1gb", "amount of memory", "set mlflow_memory 1g"),
    ("mlflow_memory", "1.5g", "amount of memory", "set mlflow_memory 1g"),
    ("mlflow_memory", "900m", "need 950m, with large traces", "raise it"),
    ("trace_jobs_memory", "9", "amount of memory", "set trace_jobs_memory 1g"),
    ("trace_jobs_memory", "1g", "is of no use without trace_archival", "set one of them"),
    ("postgres_memory", "lots", "amount of memory", "set postgres_memory 1g"),
    ("postgres_memory", "535m", "72 connections need 536m", "raise it"),
    ("mlflow_image", "mlflow", "tag or digest", "set mlflow_image"),
    ("mlflow_image", "ghcr.io/mlflow/mlflow:latest", "no version", "set mlflow_image"),
    ("postgres_image", "Postgres:17", "tag or digest", "set postgres_image"),
    ("postgres_image", "postgres@sha256:abc", "tag or digest", "set postgres_image"),
    ("image_registry", "https://example.com/a", "without https://", "set image_registry"),
    ("image_registry", "example.com/a:1", "without a tag", "set image_registry"),
    ("image_registry", "example.com/Team", "not a registry", "set image_registry"),
    ("image_registry", "example.com/", "not a registry", "set image_registry"),
    ("base_image", "debian", "tag or digest", "set base_image debian:trixie-slim"),
    ("base_image", "debian:latest", "no version", "set base_image debian:trixie-slim"),
    ("tls", "maybe", "valid boolean", "set tls true"),
    ("start_timeout", "5", "greater than or equal to 10", "set start_timeout 180"),
    ("start_timeout", "1h", "valid integer", "set start_timeout 180"),
    ("prot", "5000", "not a configuration key", "did you mean port?"),
    ("replica", "1", "not a configuration key", "did you mean replicas?"),
    ("password", "x", "not a configuration key", "pulumi config rm password"),
]


def load(**config: str) -> DeploymentSpec:
    return load_spec({f"mlflow-bench:{key}": value for key, value in config.items()}, ROOT)


@pytest.mark.parametrize(
    "most",
    [
        {"workers": "64"},
        {"workers": "64", "jobs": "true"},
        {"replicas": "16", "artifacts": "s3"},
        {"replicas": "16", "workers": "4", "artifacts": "s3"},
        {"zones": "8", "artifacts": "s3"},
        {"zones": "8", "replicas": "8", "artifacts": "s3"},
    ],
)
def test_the_documented_limits_can_be_had(most: dict[str, str]) -> None:
    spec = load(**most)
    assert spec.capacity.max_connections >= spec.workers * spec.all_replicas * 36


def test_more_workers_than_one_database_serves_are_refused_in_one_line() -> None:
    with pytest.raises(SpecError) as caught:
        load(workers="5", replicas="13", artifacts="s3")
    assert str(caught.value) == (
        "workers: 5: with 13 replicas in all they are 65, more than the 64 that a stack may "
        "have; set fewer workers or replicas"
    )


@pytest.mark.parametrize(("key", "value", "reason", "remedy"), BAD)
def test_bad_value_is_refused_in_one_line(key: str, value: str, reason: str, remedy: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(**{key: value})
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith(f"{key}: ")
    assert reason in line
    assert remedy in line


def test_two_mistakes_give_two_lines() -> None:
    with pytest.raises(SpecError) as caught:
        load(port="0", workers="none")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["port", "workers"]


def test_own_mlflow_and_own_image_exclude_each_other() -> None:
    with pytest.raises(SpecError, match=r"^mlflow: .*mlflow_image.*remove one"):
        load(mlflow="wheels/mlflow.whl", mlflow_image="example.com/mlflow:1")


@pytest.mark.parametrize(
    ("subnets", "reason"),
    [
        ("10.89.0.0/24,10.89.0.128/25", "10.89.0.128/25: overlaps another zone's"),
        ("10.89.0.0/24", "1 given: each of the 2 zone(s) needs one"),
    ],
)
def test_zones_have_separate_subnets(subnets: str, reason: str) -> None:
    with pytest.raises(SpecError, match=r"^subnets: ") as caught:
        load(zones="2", artifacts="s3", subnets=subnets)
    assert reason in str(caught.value)


def test_several_replicas_need_a_store_that_all_of_them_see() -> None:
    load(replicas="2", artifacts="s3")
    for config in ({"replicas": "2"}, {"zones": "2"}):
        with pytest.raises(SpecError, match=r"^artifacts: volume: 2 replicas .* set artifacts s3"):
            load(**config)


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({}, r"presigned: true: artifacts volume has no presigned URLs; set artifacts s3"),
        ({"artifacts": "s3", "port": "9000"}, "s3_port: 9000: is the tracking server's port"),
        (
            {"presigned": "false", "artifacts": "s3", "s3_port": "9001"},
            "s3_port: 9001: is of no use",
        ),
        ({"artifacts": EXTERNAL_S3, "s3_port": "9001"}, "s3_port: 9001: is of no"),
    ],
)
def test_presigned_access_needs_an_s3_store_and_a_port(config: dict[str, str], line: str) -> None:
    with pytest.raises(SpecError, match=f"^{line}"):
        load(**{"presigned": "true", **config})


def test_a_port_of_s3_is_opened_for_presigned_access_only() -> None:
    assert load(presigned="true", artifacts="s3").opens_s3
    assert not load(artifacts="s3").opens_s3
    assert not load(presigned="true", artifacts=EXTERNAL_S3).opens_s3


def test_jobs_need_memory_of_their_own() -> None:
    load(mlflow_memory="1g")
    with pytest.raises(SpecError, match="1 worker\\(s\\) and the job consumers need 2998m"):
        load(mlflow_memory="1g", jobs="true")


def test_values_as_the_command_line_writes_them() -> None:
    spec = load(
        port="5001",
        workers="2",
        jobs="true",
        allowed_hosts="a.example.com, b.example.com",
        bind="0.0.0.0",
        mlflow_memory="4G",
        subnets="10.89.0.0/24",
    )
    assert spec.port == 5001
    assert spec.allowed_hosts == ("a.example.com", "b.example.com")
    assert spec.mlflow_memory == 4 * 2**30
    assert [str(subnet) for subnet in spec.subnets] == ["10.89.0.0/24"]


def test_lists_may_be_written_as_lists() -> None:
    assert load(allowed_hosts='["a", "b.c"]').allowed_hosts == ("a", "b.c")
    assert load(allowed_hosts="LOCALHOST,[::1]").allowed_hosts == ("localhost", "[::1]")
    with pytest.raises(SpecError, match="403 Invalid Host header"):
        load(bind="0.0.0.0", allowed_hosts="LOCALHOST,[::1]")


def test_own_mlflow_is_found_from_the_project_folder() -> None:
    assert load(mlflow="../mlflow").mlflow == ROOT / "../mlflow"


def test_a_release_of_mlflow_is_named_by_its_number() -> None:
    assert load(mlflow="3.16.1").mlflow == "3.16.1"


@pytest.mark.parametrize("release", ["3.18.0", "9.9", "latest", "v3.16.1", "3.16"])
def test_a_release_that_is_not_supported_is_one_line(release: str) -> None:
    with pytest.raises(SpecError) as raised:
        load(mlflow=release)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"mlflow: {release!r}: is no")


def test_keys_of_providers_are_left_alone() -> None:
    assert load_spec({"docker:host": "unix:///run/docker.sock"}, ROOT) == DeploymentSpec()


def test_the_schema_for_editors_is_the_one_of_the_specification() -> None:
    written = subprocess.run(
        [sys.executable, "-m", "infra.specification.schema"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (ROOT / "stacks/schema.json").read_text() == written.stdout


def test_the_reference_is_the_one_of_the_specification() -> None:
    """Write it anew with `python -m infra.specification.reference > docs/configuration.md`."""
    assert (ROOT / "docs/configuration.md").read_text() == reference()


STACK_FILES = sorted((ROOT / "stacks").glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("path", STACK_FILES, ids=lambda path: path.name)
def test_the_stack_files_are_valid_for_editors_and_for_the_program(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    schema = json.loads((ROOT / "stacks/schema.json").read_text())
    jsonschema.validate(content, schema)
    # As Pulumi hands them over.
    config = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in content["config"].items()
        if key.startswith("mlflow-bench:")
    }
    load_spec(config, ROOT)


@pytest.mark.parametrize(
    ("key", "value"), [("prot", "5000"), ("port", "70000x"), ("jobs", "2"), ("zones", 9)]
)
def test_editors_see_a_mistake(key: str, value: object) -> None:
    schema = json.loads((ROOT / "stacks/schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"config": {f"mlflow-bench:{key}": value}}, schema)


@pytest.mark.parametrize(
    "text",
    [
        "secretsprovider: awskms://alias/x?region=eu-west-1\nencryptedkey: AQICAHh=\n",
        "encryptionsalt: v1:abc=:v1:def\n",
        "environment:\n  - team/base\n  - team/more: {merge: false}\n",
        "environment:\n  imports: [team/base]\n  values:\n    pulumiConfig: {a:b: 1}\n",
    ],
)
def test_editors_take_what_pulumi_itself_has_in_a_stack_file(text: str) -> None:
    schema = json.loads((ROOT / "stacks/schema.json").read_text())
    content = yaml.safe_load(f"config:\n  mlflow-bench:port: 5000\n{text}")
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"encryption": "salt"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content | {"environment": "team/base"}, schema)


def test_the_reference_names_every_key_and_the_readme_leads_there() -> None:
    written = (ROOT / "docs/configuration.md").read_text()
    missing = [key for key in DeploymentSpec.model_fields if f"| `{key}` |" not in written]
    assert missing == []
    assert "(docs/configuration.md)" in (ROOT / "README.md").read_text()


CLUSTER = {"platform": "kubernetes", "artifacts": "s3", "kubernetes": '{"context": "work"}'}


def test_a_cluster_is_named_by_its_context() -> None:
    spec = load(**CLUSTER)
    assert spec.kubernetes is not None
    assert spec.kubernetes.context == "work"
    assert spec.kubernetes.namespace_of("My_stack") == "mlflow-bench-my-stack"
    named = load(**CLUSTER | {"kubernetes": '{"context": "work", "namespace": "here"}'})
    assert named.kubernetes is not None
    assert named.kubernetes.namespace_of("any") == "here"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"platform": "nomad"}, r"platform: 'nomad': .*'docker' or 'kubernetes'"),
        ({"platform": "docker"}, "kubernetes: is of no use with platform docker"),
        (
            {"kubernetes": "work"},
            r"kubernetes\.context: is missing: kubernetes has to be an object",
        ),
        ({"kubernetes": "{}"}, r"kubernetes\.context: field required"),
        ({"kubernetes": '{"context": ""}'}, r"kubernetes\.context: string should have at least 1"),
        ({"kubernetes": '{"contxt": "work"}'}, r"kubernetes\.contxt: .* did you mean .*context"),
        (
            {"kubernetes": '{"context": "work", "namespace": "No Name"}'},
            r"kubernetes\.namespace: is not lower-case letters",
        ),
        (
            {"kubernetes": '{"context": "work", "storage": "ten"}'},
            r"kubernetes\.storage: string should match",
        ),
        ({"artifacts": "volume"}, "artifacts: volume: is not served on kubernetes yet"),
        ({"artifacts": "nfs"}, "artifacts: nfs: is not served on kubernetes yet"),
        ({"presigned": "true"}, "presigned: true: is not served on kubernetes yet"),
        ({"zones": "2"}, "zones: 2: on kubernetes, replicas are spread"),
        ({"jobs": "true", "replicas": "2"}, "jobs: true: replicas on kubernetes are all alike"),
        ({"subnets": "10.89.0.0/24"}, "subnets: is of no use on kubernetes"),
        (
            {"kubernetes": '{"context": "work", "max_replicas": 2}', "replicas": "3"},
            r"kubernetes\.max_replicas: 2: is less than replicas 3; raise it",
        ),
        (
            {"kubernetes": '{"context": "work", "autoscale": true}', "replicas": "3"},
            r"kubernetes\.autoscale: true: 3 are the fewest and the most replicas; raise",
        ),
        (
            {"kubernetes": '{"context": "work", "autoscale": true}', "jobs": "true"},
            r"kubernetes\.autoscale: true: one replica at most may run jobs",
        ),
        (
            {"kubernetes": '{"context": "work", "ingress_class": "nginx"}'},
            r"kubernetes\.ingress_class: is of no use without kubernetes\.ingress_host",
        ),
        ({"load_image": "a/b:1"}, r"load_image: is of no use without kubernetes\.load_inside"),
        (
            {"kubernetes": '{"context": "work", "ingress_host": "mlflow..com"}'},
            r"kubernetes\.ingress_host: is not a name like mlflow\.example\.com",
        ),
        (
            {"kubernetes": '{"context": "work", "max_replicas": 9}', "workers": "8"},
            r"workers: 8: with 9 replicas \(kubernetes\.max_replicas\) they are 72, more than",
        ),
    ],
)
def test_what_kubernetes_has_not_is_refused(change: dict[str, str], line: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(**(CLUSTER | change))
    assert [one for one in str(caught.value).splitlines() if re.match(line, one)]


def test_a_stack_on_kubernetes_without_a_context_is_refused() -> None:
    with pytest.raises(SpecError, match=r"^kubernetes\.context: is missing; set it as in: "):
        load(platform="kubernetes", artifacts="s3")


@pytest.mark.parametrize(
    ("change", "most"),
    [
        ({}, 3),
        ({"replicas": "3"}, 3),
        ({"replicas": "5"}, 5),
        ({"kubernetes": '{"context": "work", "max_replicas": 6}'}, 6),
        ({"jobs": "true"}, 1),
        ({"workers": "24"}, 2),  # PostgreSQL has room for the workers of two such servers.
    ],
)
def test_connections_are_for_the_most_replicas_and_one_that_is_updated(
    change: dict[str, str], most: int
) -> None:
    spec = load(**CLUSTER | change)
    assert spec.most_replicas == most
    alone = capacity(replicas=most + 1, workers=spec.workers, jobs=spec.jobs)
    assert spec.capacity.max_connections == alone.max_connections
    assert load(zones="2", artifacts="s3").most_replicas == 2


def test_traces_are_kept_as_they_are_by_default() -> None:
    traces = load().traces
    assert (traces.have_jobs, traces.files("s3://bucket")) == (False, {})


@pytest.mark.parametrize(
    ("archival", "retention", "fits"),
    [("12h", "10d", True), ("90m", "2h", True), ("10d", "10d", False), ("2d", "48h", False)],
)
def test_traces_are_archived_before_they_are_deleted(
    archival: str, retention: str, fits: bool
) -> None:
    keys = {"trace_archival": archival, "trace_retention": retention}
    if fits:
        assert load(**keys).traces.have_jobs
        return
    with pytest.raises(SpecError) as error:
        load(**keys)
    assert str(error.value) == (
        f"trace_archival: {archival}: traces are deleted before, after {retention} "
        "(trace_retention); set a shorter age, or pulumi config rm trace_archival"
    )


def test_a_schedule_without_rollups_is_of_no_use() -> None:
    assert load(trace_rollups="true", trace_rollup_schedule="*/5 1 * * 1").traces.rollups
    with pytest.raises(SpecError, match=r"^trace_rollup_schedule: is of no use without"):
        load(trace_rollup_schedule="0 3 * * *")


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"default_permission": "read"}, "default_permission: is of no use without users"),
        (
            {"tls": "true", "tls_inside": "true", "jobs": "true"},
            "jobs: true: MLflow's judges ask the gateway of their own server",
        ),
    ],
)
def test_what_users_and_tls_exclude_is_said(config: dict[str, str], line: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(**config)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_users_are_asked_for() -> None:
    assert load().users is None
    assert load(auth="basic").users is not None


def test_workspaces_are_tried_with_the_pinned_release_only() -> None:
    assert load().workspaces is False
    assert load(workspaces="true", mlflow=releases.pinned()).workspaces is True
    older = next(each for each in releases.supported() if each != releases.pinned())
    with pytest.raises(SpecError, match=r"^workspaces: true: that they keep teams apart is tried"):
        load(workspaces="true", mlflow=older)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"workspaces": "true"}, True),
        ({"workspaces": "true", "auth": "basic"}, False),
        ({"workspaces": "false"}, False),
        ({}, False),
    ],
)
def test_workspaces_that_protect_nothing_are_told(values: dict[str, str], said: bool) -> None:
    lines = list(exposed(values))
    assert lines == list(exposures(load(**values)))
    assert [line.startswith("workspaces: true: the server asks nobody") for line in lines] == [
        True
    ] * said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"workspaces": "true", "auth": "basic", "default_permission": "read"}, "read"),
        ({"workspaces": "true", "auth": "basic", "default_permission": "edit"}, "edit"),
        ({"workspaces": "true", "auth": "basic", "default_permission": "none"}, None),
        ({"auth": "basic", "default_permission": "read"}, None),
    ],
)
def test_users_who_lose_their_part_by_workspaces_are_told_of(
    values: dict[str, str], said: str | None
) -> None:
    lines = list(exposed(values))
    assert lines == list(exposures(load(**values)))
    begin = f"default_permission: {said}: gives nobody a part in a workspace"
    assert [line.startswith(begin) for line in lines] == [True] * (said is not None)


def test_the_jobs_of_traces_need_some_memory() -> None:
    assert load(trace_rollups="true", trace_jobs_memory="400m").trace_jobs_memory == 400 * 2**20
    with pytest.raises(SpecError, match=r"^trace_jobs_memory: 399m: the jobs need 400m; raise it$"):
        load(trace_rollups="true", trace_jobs_memory="399m")


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"cert": "a"}, "tls.key: field required; set it as in: pulumi config set --path tls.key "),
        (
            {"key": "a"},
            "tls.cert: field required; set it as in: pulumi config set --path tls.cert ",
        ),
        (
            {"cert": "a", "key": "b", "caa": "c"},
            "tls.caa: is not a configuration key; did you mean",
        ),
    ],
)
def test_a_certificate_of_ones_own_needs_its_files(tls: dict[str, str], said: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tls=json.dumps(tls))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_files_of_a_certificate_start_at_the_project() -> None:
    spec = load(tls=json.dumps({"cert": "a.crt", "key": "/b.key", "ca": "c.crt"}))
    assert spec.tls == TlsFiles(cert=ROOT / "a.crt", key=Path("/b.key"), ca=ROOT / "c.crt")
    assert load().tls is False
    assert load(tls="true").tls is True


def test_tls_inside_is_for_stacks_whose_clients_use_tls() -> None:
    assert load(tls="true", tls_inside="true").tls_inside
    with pytest.raises(SpecError, match=r"tls_inside: true: is of no use .* set tls true"):
        load(tls_inside="true")


def test_files_are_not_sent_past_tls() -> None:
    hosts = {"bind": "0.0.0.0", "allowed_hosts": "mlflow.example.com"}
    opened = {"tls": "true", "artifacts": "s3", "presigned": "true"}
    assert load(**opened).tracking_uri == "https://localhost:5000"
    with pytest.raises(SpecError, match=r"^presigned: true: the stack's own S3 speaks no TLS, and"):
        load(**opened, **hosts)


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({}, []),
        ({"bind": "127.0.0.2"}, []),
        ({"bind": "0.0.0.0"}, ["auth", "tls"]),
        ({"bind": "0.0.0.0", "auth": "none", "tls": "false"}, ["auth", "tls"]),
        ({"bind": "192.0.2.1", "auth": "basic", "tls": False}, ["tls"]),
        ({"bind": "0.0.0.0", "auth": "basic", "tls": {"cert": "x"}}, []),
        ({"bind": "no address"}, []),
    ],
)
def test_what_is_open_to_others_is_said(values: dict[str, object], missing: list[str]) -> None:
    lines = list(exposed(values))
    assert len(lines) == len(missing)
    for key, line in zip(missing, lines, strict=True):
        assert line.startswith(f"bind: {values['bind']}: the server is open to others than this ")
        assert f" without {key}: " in line
        assert f"; pulumi config set {key} " in line


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({}, ["auth", "tls"]),
        ({"auth": "basic"}, ["tls"]),
        ({"auth": "basic", "tls": "true"}, []),
        ({"auth": "basic", "secret": "own"}, []),
        ({"secret": "own"}, ["auth"]),
    ],
)
def test_an_ingress_is_open_to_others(values: dict[str, str], missing: list[str]) -> None:
    cluster = {"context": "kind", "ingress_host": "mlflow.example.com"}
    if secret := values.get("secret"):
        cluster["ingress_tls_secret"] = secret
    given = {key: value for key, value in values.items() if key != "secret"}
    lines = list(exposed({**given, "kubernetes": cluster}))
    start = "kubernetes.ingress_host: mlflow.example.com: the server is open to others than this "
    assert [line.startswith(start) for line in lines] == [True] * len(missing)
    assert [f" without {key}: " in line for key, line in zip(missing, lines, strict=True)] == [
        True
    ] * len(missing)
    spec = load(
        platform="kubernetes",
        artifacts="s3",
        kubernetes=json.dumps(cluster),
        **given,
    )
    assert list(exposures(spec)) == lines
    assert list(exposed({"kubernetes": {"context": "kind"}})) == []


@pytest.mark.parametrize(
    "word", ["off", "OFF", "False", "f", "n", "no", "0", "true", "on", "yes", "1", False, True]
)
def test_tls_is_on_as_the_specification_reads_it(word: object) -> None:
    assert is_on(word) == bool(load(tls=str(word)).tls)


def test_what_a_release_has_no_code_for_is_refused_by_its_key() -> None:
    assert "trace_rollups" in contents.lacks("3.16.1")
    with pytest.raises(
        SpecError,
        match=r"^trace_rollups: true: mlflow 3\.16\.1 has not what it needs; pulumi config rm "
        r"trace_rollups, or set mlflow to a release that has$",
    ):
        load(mlflow="3.16.1", trace_rollups="true")
    load(mlflow="3.16.1", trace_rollups="false")
    load(mlflow="3.17.2", trace_rollups="true")
    # An image that is given is not of that release.
    load(mlflow_image="registry.example.com/mlflow:1", trace_rollups="true")
