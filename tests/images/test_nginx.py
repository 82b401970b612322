"""The load balancer in real containers: what it repeats, what it must not, what it takes up."""

import http.client
import io
import json
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path, PurePosixPath
from typing import Any

import docker
import pytest
import requests
from docker.models.containers import Container

from infra.components import nginx
from infra.components.secret_files import (
    REPLICAS_CA,
    SECRETS_FOLDER,
    TLS_CERTIFICATE_FILE,
    TLS_KEY_FILE,
)
from infra.components.server import TLS_NAME
from infra.outputs import REPLICA_HEADER
from tests import certificates
from tests.images.sandbox import LABEL, build, execute, wait_until
from workloads.faults.container_faults import pause

UPSTREAM = Path(__file__).with_name("upstream.py").read_text()
UPSTREAM_PORT = 5000
ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/model"
MIB = 2**20


class Lab:
    """A network with fixed addresses, and the containers on it."""

    def __init__(self, client: docker.DockerClient, upstream_image: str, nginx_image: str) -> None:
        self.client = client
        self.upstream_image = upstream_image
        self.nginx_image = nginx_image
        self.name = f"mlflow-bench-test-nginx-{uuid.uuid4().hex[:8]}"
        self.labels = {LABEL: self.name}
        # Docker grants fixed addresses only in a subnet that was asked for: ask for one that it
        # has just found to be free.
        probe = client.networks.create(self.name, labels=self.labels)
        probe.reload()
        self.subnet = IPv4Network(probe.attrs["IPAM"]["Config"][0]["Subnet"])
        probe.remove()
        self.network = client.networks.create(
            self.name,
            labels=self.labels,
            ipam=docker.types.IPAMConfig(
                pool_configs=[docker.types.IPAMPool(subnet=str(self.subnet))]
            ),
        )

    def replica(self, number: int) -> nginx.Replica:
        """Return the place of an upstream, whether or not it runs."""
        address = self.subnet.network_address + 100 + number
        return nginx.Replica(address, UPSTREAM_PORT, f"upstream-{number}")

    def upstream(self, number: int, certificate: certificates.Files | None = None) -> Container:
        """Start an upstream at its place; with a certificate, it speaks TLS."""
        pair: dict[str, str] = {}
        if certificate:
            pair = {"CERTIFICATE": certificate.cert.read_text(), "KEY": certificate.key.read_text()}
        container = self._create(
            f"upstream-{number}",
            self.upstream_image,
            ["python", "-c", UPSTREAM, str(UPSTREAM_PORT)],
            self.replica(number).address,
            environment=pair,
        )
        container.start()
        listening = f"exec 3<>/dev/tcp/127.0.0.1/{UPSTREAM_PORT}"
        wait_until(
            lambda: execute(container, "bash", "-c", listening).returncode == 0,
            30,
            "the upstream listens",
        )
        return container

    def balancer(self, configuration: str, secrets: Mapping[str, str] | None = None) -> "Balancer":
        """Start nginx with a configuration in a volume, and secrets, as a deployment does."""
        settings = PurePosixPath(nginx.CONFIGURATION_FILE)
        folders = {str(settings.parent): {settings.name: configuration}}
        if secrets:
            folders[SECRETS_FOLDER] = dict(secrets)
        volumes = {
            folder: self.client.volumes.create(
                f"{self.name}-{uuid.uuid4().hex[:8]}", labels=self.labels
            )
            for folder in folders
        }
        container = self._create(
            f"nginx-{uuid.uuid4().hex[:8]}",
            self.nginx_image,
            [],
            self.subnet.network_address + 50,
            volumes=[f"{volume.name}:{folder}" for folder, volume in volumes.items()],
            ports={f"{nginx.PORT}/tcp": ("127.0.0.1", None)},
        )
        for folder, files in folders.items():
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode="w") as archive:
                for name, content in files.items():
                    data = content.encode()
                    entry = tarfile.TarInfo(name)
                    entry.size, entry.mode = len(data), 0o444
                    archive.addfile(entry, io.BytesIO(data))
            container.put_archive(folder, stream.getvalue())
        container.start()
        return Balancer(container)

    def _create(
        self, name: str, image: str, command: list[str], address: IPv4Address, **options: Any
    ) -> Container:
        return self.client.containers.create(
            image,
            command,
            name=f"{self.name}-{name}",
            hostname=name,
            labels=self.labels,
            init=True,
            read_only=True,
            tmpfs={"/tmp": ""},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            network=self.name,
            networking_config={
                self.name: self.client.api.create_endpoint_config(ipv4_address=str(address))
            },
            **options,
        )

    def remove_containers(self) -> None:
        mine: Any = {"label": f"{LABEL}={self.name}"}
        for container in self.client.containers.list(all=True, filters=mine, ignore_removed=True):
            container.remove(force=True, v=True)
        for volume in self.client.volumes.list(filters=mine):
            volume.remove()

    def close(self) -> None:
        self.remove_containers()
        self.network.remove()


class Balancer:
    """A running nginx; requests go through its published port."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self._port: int | None = None
        wait_until(self._listens, 120, "nginx listens")

    @property
    def port(self) -> int:
        if self._port is None:
            self.container.reload()
            published: Any = self.container.ports
            bindings = published.get(f"{nginx.PORT}/tcp")
            assert bindings, self.container.logs().decode()
            self._port = int(bindings[0]["HostPort"])
        return self._port

    def _listens(self) -> bool:
        listening = f"exec 3<>/dev/tcp/127.0.0.1/{nginx.PORT}"
        return execute(self.container, "bash", "-c", listening).returncode == 0

    def connection(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(
        self, method: str, path: str, body: bytes | None = None, timeout: float = 30
    ) -> tuple[int, Any]:
        """Return the status and, from an upstream, what it saw."""
        connection = self.connection(timeout)
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if answer.status == 200 else text

    def memory(self) -> int:
        """Return the bytes of memory it takes, with its files in /tmp, without cached files."""
        stats: Any = self.container.stats(stream=False)
        figures = stats["memory_stats"]["stats"]
        # Names of control groups' first version, then of the second.
        if "total_rss" in figures:
            return int(figures["total_rss"] + figures.get("total_shmem", 0))
        return int(figures["anon"] + figures["shmem"])

    def files(self) -> int:
        """Return the bytes in the only folder that can be written to."""
        listed = execute(self.container, "du", "-sb", "/tmp").stdout
        return int(listed.split()[0])


@pytest.fixture(scope="module")
def lab(client: docker.DockerClient, mlflow_image: str) -> Iterator[Lab]:
    lab = Lab(client, mlflow_image, build(client, "nginx"))
    try:
        yield lab
    finally:
        lab.close()


@pytest.fixture
def pair(lab: Lab) -> Iterator[list[Container]]:
    """Two upstreams; they, and every nginx, are gone after the test."""
    try:
        yield [lab.upstream(0), lab.upstream(1)]
    finally:
        lab.remove_containers()


def configuration(lab: Lab) -> str:
    return nginx.configuration((lab.replica(0), lab.replica(1)))


def impatient(text: str) -> str:
    """Let an answer that does not come be given up after one second."""
    changed = text.replace(
        f"proxy_read_timeout {nginx.API_SILENCE_SECONDS}s", "proxy_read_timeout 1s"
    )
    assert changed != text
    return changed


def executed(containers: list[Container], what: str) -> int:
    time.sleep(0.5)  # Docker takes a moment to collect what was printed.
    return sum(
        line == f"executed {what}"
        for container in containers
        for line in container.logs().decode().splitlines()
    )


def test_a_post_that_may_have_been_executed_is_not_sent_again(
    lab: Lab, pair: list[Container]
) -> None:
    balancer = lab.balancer(configuration(lab))
    status, _ = balancer.request("POST", "/api/2.0/mlflow/runs/create/drop", b"{}")
    assert status == 502
    assert executed(pair, "POST /api/2.0/mlflow/runs/create/drop") == 1


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_a_write_that_no_replica_was_sent_is_429_and_what_may_be_done_is_not(
    lab: Lab, how: str
) -> None:
    try:
        for number in range(2) if how == "refused" else ():
            # Their kernels are there and refuse; else nothing answers at their addresses.
            lab._create(
                f"upstream-{number}",
                lab.upstream_image,
                ["sleep", "120"],
                lab.replica(number).address,
            ).start()
        balancer = lab.balancer(configuration(lab))
        create = "/api/2.0/mlflow/runs/create"
        # Several, as a replica that failed is left out: that is a case of its own.
        for _ in range(2 * nginx.FAILURES + 1):
            status, text = balancer.request("POST", create, b"x" * 300_000)
            assert (status, json.loads(text)) == (429, nginx.SHED)
        assert balancer.request("PUT", ARTIFACT, b"x")[0] == 429
        for path in (create, ARTIFACT, "/health"):
            assert balancer.request("GET", path)[0] in {502, 504}
        assert balancer.request("POST", "/v1/traces", b"x")[0] in {502, 504}
        assert execute(balancer.container, "ready").returncode == 1
    finally:
        lab.remove_containers()


def test_a_write_that_was_sent_is_not_429_when_the_rest_refuses(
    lab: Lab, pair: list[Container]
) -> None:
    balancer = lab.balancer(configuration(lab))
    pair[1].stop(timeout=0)
    # A PUT may be tried elsewhere: one has executed it, the other is not there.
    seen = [balancer.request("PUT", "/put/drop", b"x")[0] for _ in range(2 * nginx.FAILURES)]
    assert executed(pair[:1], "PUT /put/drop") > 0
    assert seen[0] in {502, 504}
    assert seen.count(429) <= len(seen) - executed(pair[:1], "PUT /put/drop")


def test_the_check_above_would_see_a_second_execution(lab: Lab, pair: list[Container]) -> None:
    text = configuration(lab)
    unsafe = text.replace("error timeout;", "error timeout non_idempotent;")
    unsafe = unsafe.replace("proxy_request_buffering off;", "proxy_request_buffering on;")
    assert unsafe != text
    lab.balancer(unsafe).request("POST", "/drop", b"{}")
    assert executed(pair, "POST /drop") == 2


def test_a_request_without_effect_is_repeated_elsewhere(lab: Lab, pair: list[Container]) -> None:
    status, _ = lab.balancer(configuration(lab)).request("GET", "/drop")
    assert status == 502
    assert executed(pair, "GET /drop") == 2


def test_a_code_of_an_identity_provider_is_sent_to_one_replica_and_to_no_log(
    lab: Lab, pair: list[Container]
) -> None:
    balancer = lab.balancer(configuration(lab))
    status, _ = balancer.request("GET", "/oidc/callback?code=good-once&to=/drop")
    assert status == 502
    assert executed(pair, "GET /oidc/callback") == 1
    logged = balancer.container.logs().decode()
    assert '"uri":"/oidc/callback"' in logged
    assert "good-once" not in logged


def test_a_read_that_waits_for_a_frozen_replica_is_asked_elsewhere(
    lab: Lab, pair: list[Container]
) -> None:
    text = configuration(lab)
    patience = f"proxy_read_timeout {nginx.READ_SILENCE_SECONDS}s"
    assert patience in text
    balancer = lab.balancer(text.replace(patience, "proxy_read_timeout 1s"))
    pause(pair[0])
    try:
        start = time.monotonic()
        assert [balancer.request("GET", "/read")[0] for _ in range(20)] == [200] * 20
        # Each of two reads waits at most once, then the frozen one is left out.
        assert time.monotonic() - start < 4
    finally:
        pair[0].unpause()


def test_a_frozen_replica_gets_a_post_once_and_is_then_left_out(
    lab: Lab, pair: list[Container]
) -> None:
    balancer = lab.balancer(impatient(configuration(lab)))
    pause(pair[0])
    try:
        statuses = []
        for _ in range(2 * nginx.FAILURES):
            statuses.append(balancer.request("POST", "/once", b"{}")[0])
            if statuses.count(504) == nginx.FAILURES:
                break
        assert statuses.count(504) == nginx.FAILURES
        start = time.monotonic()
        assert [balancer.request("POST", "/after", b"{}")[0] for _ in range(10)] == [200] * 10
        assert time.monotonic() - start < 1
    finally:
        pair[0].unpause()
    # The frozen one executes what it was sent: nobody else did.
    assert executed(pair, "POST /once") <= len(statuses)
    assert executed(pair[1:], "POST /once") == statuses.count(200)
    assert executed(pair[1:], "POST /after") == 10


@pytest.mark.parametrize("how", ["stopped", "process-killed"])
def test_with_a_dead_replica_every_post_succeeds(lab: Lab, pair: list[Container], how: str) -> None:
    balancer = lab.balancer(configuration(lab))
    assert {balancer.request("POST", "/warm", b"{}")[1]["by"] for _ in range(8)} == {
        "upstream-0",
        "upstream-1",
    }
    if how == "stopped":
        # Its address is gone: nothing answers at all.
        pair[0].stop(timeout=0)
    else:
        # The kernel is there and refuses.
        pair[0].remove(force=True)
        lab._create(
            "upstream-0", lab.upstream_image, ["sleep", "60"], lab.replica(0).address
        ).start()
    taken = []
    for _ in range(10):
        start = time.monotonic()
        status, seen = balancer.request("POST", "/api", b"x" * 100_000)
        taken.append(time.monotonic() - start)
        assert (status, seen["by"], seen["received"]) == (200, "upstream-1", 100_000)
    assert max(taken) < nginx.CONNECT_SECONDS + 0.5
    assert sum(second > 0.5 for second in taken) <= nginx.FAILURES
    assert executed(pair[1:], "POST /api") == 10


def test_a_replaced_replica_is_used_again(lab: Lab, pair: list[Container]) -> None:
    balancer = lab.balancer(configuration(lab))
    pair[0].remove(force=True)
    assert {balancer.request("GET", "/who")[1]["by"] for _ in range(6)} == {"upstream-1"}
    lab.upstream(0)
    wait_until(
        lambda: balancer.request("GET", "/who")[1]["by"] == "upstream-0",
        nginx.LEFT_OUT_SECONDS + 1,
        "the new replica gets requests",
    )


def test_it_starts_while_replicas_are_absent(lab: Lab) -> None:
    try:
        balancer = lab.balancer(configuration(lab))
        assert balancer.request("GET", "/who")[0] in {502, 504}
        assert execute(balancer.container, "ready").returncode == 1
        lab.upstream(1)
        wait_until(
            lambda: balancer.request("GET", "/who")[0] == 200,
            nginx.LEFT_OUT_SECONDS + 5,
            "a replica that came later is used",
        )
        assert execute(balancer.container, "ready").returncode == 0
    finally:
        lab.remove_containers()


def test_each_answer_names_the_replica_that_gave_it(lab: Lab, pair: list[Container]) -> None:
    balancer = lab.balancer(configuration(lab))
    named = set()
    for kill in (False, True):
        if kill:
            pair[0].remove(force=True)
        for _ in range(6):
            connection = balancer.connection()
            connection.request("GET", "/who")
            answer = connection.getresponse()
            # Where one was tried in vain before, the one that answered is named.
            assert answer.headers[REPLICA_HEADER] == json.loads(answer.read())["by"]
            named.add(answer.headers[REPLICA_HEADER])
            connection.close()
    assert named == {"upstream-0", "upstream-1"}


def test_connections_to_the_replicas_are_kept(lab: Lab, pair: list[Container]) -> None:
    balancer = lab.balancer(configuration(lab))
    seen = [balancer.request("POST", "/", b"{}")[1] for _ in range(40)]
    used = {(each["by"], each["connection"]) for each in seen}
    # One from each of nginx's two processes to each replica.
    assert len(used) <= 4
    assert all("Connection" not in each["headers"] for each in seen)


def test_requests_go_where_fewest_are_under_way(lab: Lab, pair: list[Container]) -> None:
    balancer = lab.balancer(configuration(lab))
    pause(pair[0])
    try:
        waiting = balancer.connection()
        connections = [waiting]
        # Sent until one hangs at the frozen replica, which then counts as the busier one.
        for _ in range(4):
            waiting.request("GET", "/who")
            waiting.sock.settimeout(1)
            try:
                waiting.getresponse().read()
            except TimeoutError:
                break
        assert [balancer.request("GET", "/who")[1]["by"] for _ in range(10)] == ["upstream-1"] * 10
        for connection in connections:
            connection.close()
    finally:
        pair[0].unpause()


def test_what_a_proxy_in_front_says_is_kept(lab: Lab, pair: list[Container]) -> None:
    balancer = lab.balancer(configuration(lab))

    def seen(**said: str) -> tuple[str, list[str]]:
        connection = balancer.connection()
        connection.request("GET", "/who", headers={k.replace("_", "-"): v for k, v in said.items()})
        headers = json.loads(connection.getresponse().read())["headers"]
        connection.close()
        return headers["X-Forwarded-Proto"], headers["X-Forwarded-For"].split(", ")

    scheme, [peer] = seen()
    assert scheme == "http"
    behind = {"X_Forwarded_For": "203.0.113.7, 10.1.2.3", "X_Forwarded_Proto": "https"}
    assert seen(**behind) == ("https", ["203.0.113.7", "10.1.2.3", peer])
    assert seen(X_Forwarded_Proto="gopher")[0] == "http"


def test_the_host_and_its_port_are_passed_on(lab: Lab, pair: list[Container]) -> None:
    balancer = lab.balancer(configuration(lab))
    headers = balancer.request("GET", "/who")[1]["headers"]
    assert headers["Host"] == f"127.0.0.1:{balancer.port}"


def test_a_long_query_is_passed_on(lab: Lab, pair: list[Container]) -> None:
    path = "/ajax-api/2.0/mlflow/metrics/get-history-bulk?" + "run_id=" + "a" * 40_000
    status, seen = lab.balancer(configuration(lab)).request("GET", path)
    assert (status, seen["path"]) == (200, path)


def test_the_status_is_on_its_own_port_only(lab: Lab, pair: list[Container]) -> None:
    balancer = lab.balancer(configuration(lab))
    assert balancer.request("GET", "/nginx-status")[1]["path"] == "/nginx-status", "not proxied"
    script = (
        f"exec 3<>/dev/tcp/127.0.0.1/{nginx.STATUS_PORT} && "
        r"printf 'GET /nginx-status HTTP/1.0\r\n\r\n' >&3 && cat <&3"
    )
    assert "Active connections: " in execute(balancer.container, "bash", "-c", script).stdout


def test_the_access_log_says_who_answered_and_how_long_it_took(
    lab: Lab, pair: list[Container]
) -> None:
    balancer = lab.balancer(configuration(lab))
    balancer.request("POST", '/with"quotes', b"{}")
    wait_until(lambda: b"quotes" in balancer.container.logs(), 120, "Docker has the line")
    [line] = [line for line in balancer.container.logs().splitlines() if b"quotes" in line]
    entry = json.loads(line)
    assert (entry["method"], entry["status"], entry["uri"]) == ("POST", 200, '/with"quotes')
    assert entry["upstream"] in {f"{lab.replica(n).address}:{UPSTREAM_PORT}" for n in (0, 1)}
    assert float(entry["response"]) >= 0
    assert entry["seconds"] >= 0


def test_events_are_passed_on_one_by_one(lab: Lab, pair: list[Container]) -> None:
    connection = lab.balancer(configuration(lab)).connection()
    start = time.monotonic()
    connection.request("POST", "/gateway/events", b"{}")
    answer = connection.getresponse()
    assert answer.readline() == b"data: first\n"
    assert time.monotonic() - start < 2
    assert answer.read() == b"data: second\n"
    assert time.monotonic() - start >= 2
    connection.close()


def sampled(balancer: Balancer, work: Callable[[], None]) -> tuple[int, int]:
    """Return the most memory and the most bytes of files seen while `work` runs."""
    failure: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    memory = files = 0
    while thread.is_alive():
        memory = max(memory, balancer.memory())
        files = max(files, balancer.files())
    thread.join()
    if failure:
        raise failure[0]
    return memory, files


def test_an_upload_of_1_gib_passes_through_without_being_kept(
    lab: Lab, pair: list[Container]
) -> None:
    balancer = lab.balancer(configuration(lab))
    before = balancer.memory()
    answers = []

    def upload() -> None:
        connection = balancer.connection(120)
        connection.putrequest("PUT", ARTIFACT)
        connection.putheader("Content-Length", str(1024 * MIB))
        connection.endheaders()
        for _ in range(1024):
            connection.send(bytes(MIB))
        answers.append(json.loads(connection.getresponse().read())["received"])
        connection.close()

    memory, files = sampled(balancer, upload)
    assert answers == [1024 * MIB]
    assert memory - before < 16 * MIB
    assert files < MIB


def test_a_download_waits_for_a_slow_reader_without_being_kept(
    lab: Lab, pair: list[Container]
) -> None:
    balancer = lab.balancer(configuration(lab))
    before = balancer.memory()
    sizes = []

    def download() -> None:
        connection = balancer.connection(120)
        connection.request("GET", f"{ARTIFACT}/bytes/{256 * MIB}")
        answer = connection.getresponse()
        size = len(answer.read(MIB))
        time.sleep(3)
        while block := answer.read(MIB):
            size += len(block)
        sizes.append(size)
        connection.close()

    memory, files = sampled(balancer, download)
    assert sizes == [256 * MIB]
    assert memory - before < 16 * MIB
    assert files < MIB


def test_with_tls_clients_verify_it_and_plain_http_is_told(
    lab: Lab, pair: list[Container], tmp_path: Path
) -> None:
    files = certificates.write(tmp_path / "own", "localhost")
    secrets = {
        TLS_CERTIFICATE_FILE: files.cert.read_text(),
        TLS_KEY_FILE: files.key.read_text(),
    }
    text = nginx.configuration((lab.replica(0), lab.replica(1)), tls=True)
    balancer = lab.balancer(text, secrets)
    address = f"//localhost:{balancer.port}/api/2.0/mlflow/experiments/search"
    seen = requests.post(f"https:{address}", data=b"{}", verify=str(files.ca), timeout=30)
    assert seen.status_code == 200
    assert seen.headers[REPLICA_HEADER] in {"upstream-0", "upstream-1"}
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        requests.get(f"https:{address}", timeout=30)
    for method in ("GET", "POST"):
        plain = requests.request(method, f"http:{address}", timeout=30)
        assert plain.status_code == 400
        assert plain.text == "This port speaks TLS only: use https:// in the address.\n"
    # What it is ready by needs no client of TLS in the image.
    assert execute(balancer.container, *nginx.ready_command(tls=True)).returncode == 0
    assert execute(balancer.container, *nginx.ready_command(tls=False)).returncode != 0


def test_with_tls_inside_only_a_replica_of_the_stack_is_sent_requests(
    lab: Lab, tmp_path: Path
) -> None:
    front = certificates.write(tmp_path / "front", "localhost")
    ours = certificates.write(tmp_path / "ours", TLS_NAME)
    text = nginx.configuration(
        tuple(lab.replica(number) for number in range(4)), tls=True, tls_inside=True
    )
    stranger = certificates.write(tmp_path / "stranger", TLS_NAME)
    other = certificates.write(tmp_path / "other", "mlflow-b-1")
    try:
        upstreams = [lab.upstream(n, files) for n, files in enumerate((ours, stranger, other))]
        plain = lab.upstream(3)
        balancer = lab.balancer(
            text,
            {
                TLS_CERTIFICATE_FILE: front.cert.read_text(),
                TLS_KEY_FILE: front.key.read_text(),
                REPLICAS_CA: ours.ca.read_text() + other.ca.read_text(),
            },
        )
        address = f"https://localhost:{balancer.port}/api/2.0/mlflow/runs/create"
        for method in ("GET", "POST"):
            for _ in range(8):
                seen = requests.request(
                    method, address, data=b"{}", verify=str(front.ca), timeout=30
                )
                assert seen.status_code == 200
                assert seen.headers[REPLICA_HEADER] == "upstream-0"
        assert executed([*upstreams[1:], plain], "POST /api/2.0/mlflow/runs/create") == 0
        assert execute(balancer.container, *nginx.ready_command(tls=True)).returncode == 0
        log = balancer.container.logs().decode()
        assert "upstream SSL certificate verify error" in log
        assert "upstream SSL certificate does not match" in log
    finally:
        lab.remove_containers()
