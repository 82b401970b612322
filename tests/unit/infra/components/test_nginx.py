"""nginx.conf as text: what must stand in it, and what must never."""

import re
from ipaddress import IPv4Address

import pytest
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

from infra.components import nginx, server
from infra.outputs import REPLICA_HEADER

REPLICAS = (
    nginx.Replica(IPv4Address("10.1.0.10"), 5000, "mlflow-a-1"),
    nginx.Replica(IPv4Address("10.2.0.10"), 5001, "mlflow-b-1"),
)
TEXT = "\n".join(
    line for line in nginx.configuration(REPLICAS).splitlines() if not line.lstrip().startswith("#")
)


def test_every_replica_is_an_upstream() -> None:
    servers = re.findall(r"^\s*server (\S+) max_fails=\d+ fail_timeout=\d+s;$", TEXT, re.M)
    assert servers == ["10.1.0.10:5000", "10.2.0.10:5001"]


@pytest.mark.parametrize("replicas", [(), (REPLICAS[0], REPLICAS[1], REPLICAS[0])])
def test_no_replica_or_the_same_twice_is_refused(replicas: tuple[nginx.Replica, ...]) -> None:
    with pytest.raises(ValueError, match="load balancer"):
        nginx.configuration(replicas)


def test_a_sent_post_is_never_repeated() -> None:
    # Off for the one address at which even a read is good once.
    assert re.findall(r"proxy_next_upstream (.*);", TEXT) == ["error timeout", "off"]
    assert "non_idempotent" not in TEXT


def test_the_proxy_gives_a_connection_up_before_the_server_does() -> None:
    upstream = re.search(r"upstream tracking \{(.*?)\n    \}", TEXT, re.S)
    assert upstream
    keep_alive = re.search(r"keepalive_timeout (\d+)s;", upstream.group(1))
    assert keep_alive
    assert int(keep_alive.group(1)) < server.KEEP_ALIVE_SECONDS


def test_a_silent_replica_is_given_up_before_the_client_gives_up() -> None:
    assert MLFLOW_HTTP_REQUEST_TIMEOUT.default > nginx.API_SILENCE_SECONDS


def test_every_path_of_the_artifacts_may_take_long() -> None:
    pattern = re.search(r"location ~ (\S+) \{\s*proxy_pass \S+;\s*proxy_read_timeout 600s", TEXT)
    assert pattern
    for path in (
        "/api/2.0/mlflow-artifacts/artifacts/1/a",
        "/ajax-api/2.0/mlflow-artifacts/artifacts/1/a",
        "/api/2.0/mlflow-artifacts/mpu/create/1/a",
    ):
        assert re.match(pattern.group(1), path)
    assert not re.match(pattern.group(1), "/api/2.0/mlflow/runs/log-batch")


def test_an_answer_names_the_last_replica_that_was_tried() -> None:
    names = re.findall(r"^ +~(\S+) (\S+);$", TEXT, re.M)
    for tried, named in (
        ("10.1.0.10:5000", ["mlflow-a-1"]),
        ("10.1.0.10:5000, 10.2.0.10:5001", ["mlflow-b-1"]),
        ("110.1.0.10:5000", []),
        ("", []),
    ):
        assert [name for pattern, name in names if re.search(pattern, tried)] == named
    assert f"add_header {REPLICA_HEADER} $replica always;" in TEXT


def test_the_status_has_a_port_of_its_own() -> None:
    [listener] = [part for part in TEXT.split("    server {") if "stub_status" in part]
    assert f"listen {nginx.STATUS_PORT};" in listener
    assert "proxy_pass" not in listener


def test_by_name_only_the_upstream_differs() -> None:
    by_name = nginx.configuration_by_name()
    assert "upstream tracking" not in by_name
    assert "include /tmp/tracking.conf;" in by_name
    assert set(re.findall(r"proxy_pass (\S+);", by_name)) == {"http://$tracking"}
    assert "proxy_next_upstream error timeout;" in by_name

    def rest(text: str) -> str:
        named = r"upstream tracking \{.*?\n    \}|map \S+ \$replica \{.*?\n    \}|include \S+;"
        text = re.sub(named, "", text, flags=re.S)
        return text.replace("$tracking", "tracking")

    assert rest(by_name) == rest(nginx.configuration(REPLICAS))


def test_replicas_that_speak_tls_have_to_show_their_certificate() -> None:
    for text in (
        nginx.configuration(REPLICAS, tls=True, tls_inside=True),
        nginx.configuration_by_name(tls=True, tls_inside=True),
    ):
        passed = re.findall(r"proxy_pass (\w+)://", text)
        assert len(passed) == TEXT.count("proxy_pass ") + 1, "the check of readiness, too"
        assert set(passed) == {"https"}
        assert "proxy_ssl_verify on;" in text
        assert f"proxy_ssl_name {server.TLS_NAME};" in text
        assert f"proxy_connect_timeout {nginx.HANDSHAKE_SECONDS}s;" in text
    assert "proxy_ssl" not in TEXT
