"""The pure parts of a container: checks, the engine's body, uploads, and what `inspect` says."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest

from scripts.offline.plugins.docker_resources.container import config, uploads
from scripts.offline.plugins.docker_resources.container import state as container_state
from scripts.offline.plugins.docker_resources.container.checks import check
from scripts.offline.plugins.docker_resources.container.durations import (
    canonical,
    duration,
    nanoseconds,
)
from scripts.offline.plugins.docker_resources.container.read_back import refuse_other_forms
from scripts.offline.plugins.docker_resources.container.table import TABLE
from scripts.offline.plugins.docker_resources.shared import docker_name, is_leftover
from scripts.offline.plugins.protocol.codec import UNKNOWN
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.schema import with_defaults

FILE = {"file": "/etc/app/key", "content": "k"}


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"networkMode": "host", "networksAdvanced": [{"name": "n"}]}, "cannot be combined"),
        ({"logs": True}, "'logs' needs 'attach'"),
        ({"attach": True}, "'mustRun' must be false"),
        ({"attach": True, "mustRun": False, "rm": True}, "the exit code would go with it"),
        ({"attach": True, "mustRun": False, "wait": True}, "'wait' cannot be combined"),
        ({"attach": True, "mustRun": False, "restart": "always"}, "must let the container end"),
        ({"rm": True, "restart": "always"}, "'restart' cannot be combined with 'rm'"),
        ({"start": False}, "'mustRun' must be false where 'start' is"),
        (
            {"start": False, "mustRun": False, "attach": True},
            "'attach' waits for the end of what 'start' must begin",
        ),
        ({"ports": [{"internal": 1}, {"internal": 1}]}, "'ports[1].internal' is there twice"),
        ({"memorySwap": 0}, "'memorySwap' must be -1 or at least 1"),
        ({"capabilities": {}}, "'capabilities' must add or drop one"),
        ({"privileged": True, "securityOpts": ["a"]}, "cannot be combined with 'privileged'"),
        ({"uploads": [FILE], "readOnly": True}, "cannot be combined with 'readOnly'"),
        ({"uploads": [{"file": "/a"}]}, "'uploads[0]' needs one of content, contentBase64, source"),
        ({"uploads": [FILE | {"source": "/b"}]}, "but has 2"),
        ({"uploads": [{"file": "/a", "contentBase64": "*"}]}, "is not base64"),
        ({"uploads": [FILE], "tmpfs": {"/etc": ""}}, "'uploads[0].file' is below the tmpfs /etc"),
        ({"volumes": [{"volumeName": "v"}]}, "'volumes[0].containerPath' is required"),
        (
            {"volumes": [{"volumeName": "v", "hostPath": "/h", "containerPath": "/c"}]},
            "must have one of volumeName and hostPath",
        ),
    ],
)
def test_what_does_not_go_together(inputs: dict[str, Any], reason: str) -> None:
    (failure,) = check(inputs)
    assert reason in failure.reason


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"networkMode": "bridge", "networksAdvanced": [{"name": "n"}]},
        {"attach": True, "logs": True, "mustRun": False, "restart": "on-failure"},
        {"uploads": UNKNOWN, "volumes": [UNKNOWN], "tmpfs": UNKNOWN},
        {"uploads": [{"file": UNKNOWN, "content": UNKNOWN}]},
        {"volumes": [{"fromContainer": "c"}, {"containerPath": "/anonymous"}]},
    ],
)
def test_what_goes_together(inputs: dict[str, Any]) -> None:
    assert check(inputs) == []


def body(**inputs: Any) -> dict[str, Any]:
    return config.body(with_defaults({"image": "i", "name": "n"} | inputs, TABLE))


def test_what_is_not_said_is_left_to_docker() -> None:
    plain = body()
    assert {"Cmd", "Entrypoint", "Env", "User", "Healthcheck", "StopSignal"}.isdisjoint(plain)
    assert {"Memory", "Init", "CapAdd", "NanoCpus", "ShmSize"}.isdisjoint(plain["HostConfig"])
    assert plain["HostConfig"]["NetworkMode"] == "bridge"


@pytest.mark.parametrize(
    ("inputs", "field", "expected"),
    [
        ({"memory": 64}, "Memory", 64 * 1024 * 1024),
        ({"memorySwap": -1}, "MemorySwap", -1),
        ({"cpus": "0.5"}, "NanoCpus", 500_000_000),
        ({"hosts": [{"host": "h", "ip": "1.2.3.4"}]}, "ExtraHosts", ["h:1.2.3.4"]),
        (
            {"volumes": [{"volumeName": "v", "containerPath": "/c", "readOnly": True}]},
            "Binds",
            ["v:/c:ro"],
        ),
        (
            {"volumes": [{"hostPath": "/h", "containerPath": "/c", "selinuxRelabel": "z"}]},
            "Binds",
            ["/h:/c:rw,z"],
        ),
        ({"volumes": [{"fromContainer": "c"}]}, "VolumesFrom", ["c"]),
        (
            {"ports": [{"internal": 53, "protocol": "udp"}, {"internal": 53, "external": 53}]},
            "PortBindings",
            {
                "53/udp": [{"HostIp": "0.0.0.0", "HostPort": ""}],
                "53/tcp": [{"HostIp": "0.0.0.0", "HostPort": "53"}],
            },
        ),
        (
            {"devices": [{"hostPath": "/dev/fuse"}]},
            "Devices",
            [
                {
                    "PathOnHost": "/dev/fuse",
                    "PathInContainer": "/dev/fuse",
                    "CgroupPermissions": "rwm",
                }
            ],
        ),
        (
            {"restart": "on-failure", "maxRetryCount": 3},
            "RestartPolicy",
            {"Name": "on-failure", "MaximumRetryCount": 3},
        ),
    ],
)
def test_host_settings(inputs: dict[str, Any], field: str, expected: object) -> None:
    assert body(**inputs)["HostConfig"][field] == expected


def test_networks_and_healthcheck() -> None:
    made = body(
        networksAdvanced=[{"name": "a"}, {"name": "b"}],
        healthcheck={"tests": ["CMD", "true"], "interval": "1s"},
    )
    assert made["HostConfig"]["NetworkMode"] == "bridge"  # the two are connected afterwards
    assert "NetworkingConfig" not in made
    assert made["Healthcheck"]["Interval"] == 1_000_000_000
    assert made["Healthcheck"]["Retries"] == 0


def test_limits_of_a_living_container() -> None:
    mb = 1024 * 1024
    said = config.limits({"memory": 64, "memorySwap": 96, "cpuQuota": 9})
    assert said == {"mem_limit": 64 * mb, "memswap_limit": 96 * mb}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1s", 10**9),
        ("1m30s", 90 * 10**9),
        ("500ms", 5 * 10**8),
        ("1.5h", 5400 * 10**9),
        ("0", 0),
        ("0s", 0),
        ("", None),
        ("5", None),
        ("1s ", None),
        ("-1s", None),
    ],
)
def test_durations(text: str, expected: int | None) -> None:
    assert nanoseconds(text) == expected


@pytest.mark.parametrize(
    "text",
    ["0s", "2s", "1m30s", "3m0s", "1h0m0s", "25h0m0.5s", "1.5s", "500ms", "1.25ms", "7µs", "3ns"],
)
def test_durations_as_they_are_read_back(text: str) -> None:
    assert duration(text) is None
    assert canonical(nanoseconds(text) or 0) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [("180s", "3m0s"), ("0.5s", "500ms"), ("1h", "1h0m0s"), ("0", "0s"), ("1000us", "1ms")],
)
def test_durations_in_another_form(text: str, written: str) -> None:
    reason = duration(text)
    assert reason is not None
    assert f"gives it back, {written}:" in reason


class Archives:
    """The one call of the engine's API that uploads make."""

    def __init__(self) -> None:
        self.put: list[tuple[str, tarfile.TarInfo, bytes]] = []

    def put_archive(self, container: str, path: str, data: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            (entry,) = archive.getmembers()
            content = archive.extractfile(entry)
            assert content is not None
            self.put.append((path, entry, content.read()))


@pytest.mark.parametrize(
    ("upload", "name", "mode", "content"),
    [
        ({"file": "/etc/key", "content": "k"}, "etc/key", 0o644, b"k"),
        ({"file": "/data/key", "contentBase64": "AAE="}, "data/key", 0o644, b"\0\1"),
        ({"file": "/in/a/run", "content": "x", "executable": True}, "in/a/run", 0o744, b"x"),
        (FILE | {"executable": True, "permissions": "0400"}, "etc/app/key", 0o400, b"k"),
    ],
)
def test_uploads(upload: dict[str, Any], name: str, mode: int, content: bytes) -> None:
    archives = Archives()
    uploads.put(archives, "c", [upload])
    ((put_at, entry, put),) = archives.put
    assert (put_at, entry.name, entry.mode, put) == ("/", name, mode, content)
    assert (entry.uid, entry.gid) == (0, 0)


def test_an_upload_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff")
    archives = Archives()
    uploads.put(archives, "c", [{"file": "/a", "source": str(tmp_path / "file")}])
    assert archives.put[0][2] == b"\xff"
    with pytest.raises(RefusedError, match="cannot read the upload's source"):
        uploads.put(archives, "c", [{"file": "/a", "source": "/does/not/exist"}])


def live(**host: Any) -> dict[str, Any]:
    """What `inspect` says of a running container without particular settings."""
    limits = ("Memory", "MemorySwap", "MemoryReservation", "CpuShares", "CpuPeriod", "CpuQuota")
    return {
        "Name": "/n",
        "State": {"Running": True, "Status": "running", "ExitCode": 0},
        "HostConfig": {
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            **dict.fromkeys(limits, 0),
            "CpusetCpus": "",
            **host,
        },
        "NetworkSettings": {"Networks": {"a": {"NetworkID": "1"}, "b": {"NetworkID": "2"}}},
    }


def made(inputs: dict[str, Any], **host: Any) -> dict[str, Any]:
    """What `inspect` says of a container that is as the inputs say, but for `host`."""
    asked = body(**inputs)
    config = {name: value for name, value in asked.items() if name != "HostConfig"}
    config = {
        "Cmd": None,
        "Entrypoint": None,
        "User": "",
        "WorkingDir": "",
        "Hostname": "h",
    } | config
    defaults = {"ShmSize": 64 * 2**20, "IpcMode": "private"}
    numbers = dict.fromkeys(("Memory", "MemorySwap", "MemoryReservation"), 0)
    return {
        "Config": config,
        "HostConfig": numbers | defaults | asked["HostConfig"] | host,
        "State": {"Running": False},
    }


@pytest.mark.parametrize(
    ("inputs", "there", "name"),
    [
        # A kernel that does not account for swap.
        ({"memory": 64, "memorySwap": 128}, {"MemorySwap": -1}, "memorySwap"),
        ({"networkMode": "default"}, {"NetworkMode": "bridge"}, "networkMode"),
        ({}, {"CapAdd": ["CAP_KILL"]}, "capabilities"),
        ({"shmSize": 32}, {"ShmSize": 64 * 2**20}, "shmSize"),
        (
            {"mounts": [{"type": "bind", "source": "/a", "target": "/b"}]},
            {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {}}]},
            "mounts",
        ),
    ],
)
def test_what_docker_gives_back_otherwise(
    inputs: dict[str, Any], there: dict[str, Any], name: str
) -> None:
    full = with_defaults({"image": "i", "name": "n"} | inputs, TABLE)
    refuse_other_forms(made(inputs), full)
    with pytest.raises(RefusedError, match=f"^'{name}' is given back by this Docker as"):
        refuse_other_forms(made(inputs, **there), full)


def test_nothing_drifted() -> None:
    inputs = {"name": "n", "networksAdvanced": [{"name": "a", "aliases": ["x"]}, {"name": "2"}]}
    assert container_state.inputs_now(inputs, live()) == inputs


@pytest.mark.parametrize(
    ("inputs", "there", "drift"),
    [
        ({}, live(RestartPolicy={"Name": "always", "MaximumRetryCount": 0}), {"restart": "always"}),
        ({"memory": 32}, live(Memory=64 * 1024 * 1024), {"memory": 64}),
        ({"cpuShares": 512}, live(CpuShares=2), {"cpuShares": 2}),
        ({"cpuSet": "0"}, live(CpusetCpus="0-1"), {"cpuSet": "0-1"}),
        ({"memorySwap": -1}, live(MemorySwap=2 * 1024 * 1024), {"memorySwap": 2}),
        ({}, live() | {"Name": "/renamed"}, {"name": "renamed"}),
        ({}, live() | {"State": {"Running": False}}, {"mustRun": False}),
        ({"start": False}, live() | {"State": {"Running": False}}, {}),
        (
            {"networksAdvanced": [{"name": "a"}, {"name": "c"}]},
            live(),
            {"networksAdvanced": [{"name": "a"}, {"name": "b"}]},
        ),
    ],
)
def test_drift(inputs: dict[str, Any], there: dict[str, Any], drift: dict[str, Any]) -> None:
    stated = {"name": "n"} | inputs
    assert container_state.inputs_now(stated, there) == stated | drift


@pytest.mark.parametrize(
    ("wanted", "existing", "expected"),
    [
        ({"a": "1"}, {"a": "1", "b": "2"}, True),
        ({"a": "1"}, {"a": "2"}, False),
        ({"a": "1"}, None, False),
        ({}, {"a": "1"}, False),
    ],
)
def test_leftovers_carry_every_label(
    wanted: dict[str, str], existing: dict[str, str] | None, expected: bool
) -> None:
    assert is_leftover(wanted, existing) is expected


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b"])
def test_bad_names(name: str) -> None:
    assert docker_name(name) is not None
    assert docker_name("a-b_c.9") is None
