"""Keys of a stack in two replicas: what one encrypts, the other reads, also after a restart.

The database is one of before, as a stack's first update with keys finds it: the gateway's secrets
are encrypted by MLflow's published passphrase, and the webhooks' by a key that nobody has.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from cryptography.fernet import Fernet
from docker.models.containers import Container
from mlflow.utils import crypto

from infra.components.capacity import capacity
from infra.components.secret_files import GATEWAY_PASSPHRASE_FILE, PASSWORD_FILE, WEBHOOK_KEY_FILE
from infra.components.server import ArtifactFolder, Database, TrackingServer
from tests.images.sandbox import Postgres, Sandbox, ends, execute, logs, wait_until
from tests.images.traces import Answer, Server

pytestmark = pytest.mark.plugins

SIZES = capacity(replicas=2, workers=1, jobs=False)
STACK = TrackingServer(
    database=Database(host="keys", port=5432, name="mlflow", user="mlflow"),
    artifacts=ArtifactFolder(PurePosixPath("/var/lib/mlflow/artifacts")),
    capacity=SIZES,
    port=5000,
    workers=1,
    allowed_hosts=(),
    jobs=False,
)
WEBHOOK_KEY = Fernet.generate_key().decode()
PASSPHRASE = "a stack's own passphrase"

WEBHOOKS = "/api/2.0/mlflow/webhooks"
GATEWAY = "/api/3.0/mlflow/gateway"
EVENT = [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]

RECEIVER = """
import http.server, json, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        print(json.dumps([self.path, dict(self.headers), body]), flush=True)
        message = {"role": "assistant", "content": ""}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        answer = json.dumps(answer | {"choices": [choice], "usage": usage})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(answer.encode())

http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
"""Prints what it is sent: path, headers and body, a line each."""


@pytest.fixture(scope="module")
def postgres(sandbox: Sandbox, postgres_image: str) -> Postgres:
    connections = f"max_connections={SIZES.max_connections + 60}"
    postgres = Postgres(sandbox, postgres_image, "-c", connections, hostname="keys")
    wait_until(postgres.is_ready, 120, "PostgreSQL is ready")
    return postgres


@pytest.fixture(scope="module")
def secrets(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Mounts of the secrets that every server and job of a stack has."""
    folder = tmp_path_factory.mktemp("secrets")
    for name, content in ((WEBHOOK_KEY_FILE, WEBHOOK_KEY), (GATEWAY_PASSPHRASE_FILE, PASSPHRASE)):
        (folder / name).write_text(content)
        (folder / name).chmod(0o444)
    files: dict[str, Path] = {name.name: name for name in folder.iterdir()}
    files[PASSWORD_FILE] = sandbox.secret
    return [f"{file}:/run/secrets/{name}:ro" for name, file in files.items()]


def of_before(postgres: Postgres) -> None:
    """Write a webhook and a gateway secret as servers without keys wrote them."""
    lost = Fernet(Fernet.generate_key()).encrypt(b"lost").decode()
    manager = crypto.KEKManager(crypto.DEFAULT_KEK_PASSPHRASE, 1)
    old = crypto._encrypt_secret('{"api_key": "key of before"}', manager, "s-old", "old")
    unknown = crypto._encrypt_secret('{"api_key": "?"}', _other(), "s-unknown", "unknown")
    postgres.sql(
        "SET ROLE mlflow;"
        "INSERT INTO webhooks (webhook_id, name, url, status, secret, creation_timestamp,"
        f" last_updated_timestamp) VALUES ('lost', 'lost', 'http://receiver:8000/lost', 'ACTIVE',"
        f" '{lost}', 1, 1);"
        "INSERT INTO webhook_events (webhook_id, entity, action)"
        " VALUES ('lost', 'registered_model', 'created');"
        + "".join(
            "INSERT INTO secrets (secret_id, secret_name, encrypted_value, wrapped_dek,"
            " kek_version, masked_value, provider, auth_config, created_at, last_updated_at)"
            f" VALUES ('s-{name}', '{name}', '\\x{secret.encrypted_value.hex()}',"
            f" '\\x{secret.wrapped_dek.hex()}', 1, '{{}}', 'openai',"
            """ '{"api_base": "http://receiver:8000/v1"}', 1, 1);"""
            for name, secret in (("old", old), ("unknown", unknown))
        )
    )


def _other() -> crypto.KEKManager:
    return crypto.KEKManager("a passphrase that nobody has", 1)


@pytest.fixture(scope="module")
def update(sandbox: Sandbox, postgres: Postgres, mlflow_image: str, secrets: list[str]) -> str:
    """What the schema job says of the first update with keys."""
    command = STACK.schema_job_command()
    status, output = ends(sandbox.run(mlflow_image, command), 120)
    assert status == 0, output
    assert "lost" not in output  # without keys it looks at nothing
    of_before(postgres)
    status, output = ends(sandbox.run(mlflow_image, command, volumes=secrets), 120)
    assert status == 0, output
    return output


@pytest.fixture(scope="module")
def receiver(sandbox: Sandbox, mlflow_image: str) -> Container:
    return sandbox.run(mlflow_image, ["python", "-c", RECEIVER], hostname="receiver")


@pytest.fixture(scope="module")
def servers(
    sandbox: Sandbox, mlflow_image: str, secrets: list[str], update: str, receiver: Container
) -> Iterator[list[Server]]:
    environment = STACK.environment() | {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS": "true",
    }
    servers = [
        Server(
            sandbox.run(
                mlflow_image,
                STACK.command(),
                environment=environment,
                volumes=secrets,
                ports={"5000/tcp": ("127.0.0.1", None)},
            )
        )
        for _ in range(2)
    ]
    yield [server.wait() for server in servers]
    for server in servers:
        server.close()


@pytest.fixture
def a(servers: list[Server]) -> Server:
    return servers[0]


@pytest.fixture
def b(servers: list[Server]) -> Server:
    return servers[1]


def received(receiver: Container, path: str) -> list[tuple[dict[str, str], str]]:
    """Headers, by names in lower case, and bodies of what came in on a path, in order."""
    lines = [json.loads(line) for line in logs(receiver).splitlines() if line.startswith("[")]
    return [
        ({name.lower(): value for name, value in headers.items()}, body)
        for where, headers, body in lines
        if where == path
    ]


def signature(secret: str, headers: dict[str, str], body: str) -> str:
    """Return what a request with a body is signed with by this secret."""
    signed = f"{headers['x-mlflow-delivery-id']}.{headers['x-mlflow-timestamp']}.{body}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def test_the_first_update_says_what_is_lost(update: str) -> None:
    [webhooks, gateway] = [line for line in update.splitlines() if "warning" in line]
    assert "1 webhooks were encrypted by a key that is lost ('lost')" in webhooks
    assert "1 gateway secrets were encrypted by a key that is lost ('unknown')" in gateway


def test_a_webhook_with_a_lost_secret(a: Server, b: Server, receiver: Container) -> None:
    listed = a.call("GET", WEBHOOKS)
    assert listed.status_code == 200, listed.text
    assert "lost" in [webhook["name"] for webhook in listed.json()["webhooks"]]
    tried = a.post(f"{WEBHOOKS}/lost/test").json()["result"]
    assert not tried.get("success")
    assert "a key that the server does not have any more" in tried["error_message"]
    renamed = b.call("PATCH", f"{WEBHOOKS}/lost", json={"name": "found"})
    assert renamed.status_code == 200, renamed.text
    assert received(receiver, "/lost") == []  # nothing came without a signature
    told = a.call("PATCH", f"{WEBHOOKS}/lost", json={"secret": "told again"})
    assert told.status_code == 200, told.text
    assert b.post(f"{WEBHOOKS}/lost/test").json()["result"]["success"] is True
    [(headers, body)] = received(receiver, "/lost")
    assert headers["x-mlflow-signature"] == signature("told again", headers, body)
    assert b.call("DELETE", f"{WEBHOOKS}/lost").status_code == 200


def invoke(server: Server, endpoint: str) -> Answer:
    message = [{"role": "user", "content": "hello"}]
    return server.post(f"/gateway/{endpoint}/mlflow/invocations", messages=message)


def endpoint(server: Server, name: str, secret_id: str) -> None:
    """Make an endpoint of this name that uses a secret."""
    made = server.post(
        f"{GATEWAY}/model-definitions/create",
        name=name,
        secret_id=secret_id,
        provider="openai",
        model_name="m",
    )
    assert made.status_code == 200, made.text
    model = made.json()["model_definition"]["model_definition_id"]
    config = {"model_definition_id": model, "linkage_type": "PRIMARY", "weight": 1}
    made = server.post(
        f"{GATEWAY}/endpoints/create", name=name, model_configs=[config], usage_tracking=False
    )
    assert made.status_code == 200, made.text


def keys_sent(receiver: Container) -> list[str]:
    sent = received(receiver, "/v1/chat/completions")
    return [headers["authorization"].removeprefix("Bearer ") for headers, _ in sent]


def test_gateway_secrets_of_before_are_read(a: Server, b: Server, receiver: Container) -> None:
    endpoint(a, "old", "s-old")
    before = len(keys_sent(receiver))
    answer = invoke(b, "old")
    assert answer.status_code == 200, answer.text
    assert keys_sent(receiver)[before:] == ["key of before"]
    endpoint(a, "unknown", "s-unknown")
    refused = invoke(b, "unknown")
    assert refused.status_code == 400
    assert "Failed to decrypt secret" in refused.text
    # Now by no published passphrase any more.
    assert a.call("GET", "/ajax-api/3.0/mlflow/gateway/secrets/config").json() == {
        "secrets_available": True,
        "using_default_passphrase": False,
    }


def test_what_one_replica_encrypts_the_other_reads_also_after_a_restart(
    servers: list[Server], postgres: Postgres, receiver: Container
) -> None:
    a, b = servers
    made = a.post(
        WEBHOOKS, name="w", url="http://receiver:8000/w", events=EVENT, secret="of a webhook"
    )
    assert made.status_code == 200, made.text
    webhook = f"{WEBHOOKS}/{made.json()['webhook']['webhook_id']}"
    secret = a.post(
        f"{GATEWAY}/secrets/create",
        secret_name="new",
        secret_value={"api_key": "new key"},
        provider="openai",
    )
    assert secret.status_code == 200, secret.text
    postgres.sql(  # MLflow itself takes addresses with TLS only
        """UPDATE secrets SET auth_config = '{"api_base": "http://receiver:8000/v1"}'"""
    )
    endpoint(a, "new", secret.json()["secret"]["secret_id"])

    def is_read_by(server: Server, name: str) -> None:
        assert server.call("GET", WEBHOOKS).status_code == 200
        assert server.call("GET", webhook).status_code == 200
        assert server.call("PATCH", webhook, json={"name": name}).status_code == 200
        assert server.post(f"{webhook}/test").json()["result"]["success"] is True
        answer = invoke(server, "new")
        assert answer.status_code == 200, answer.text
        assert keys_sent(receiver)[-1] == "new key"

    is_read_by(b, "by-b")
    for server in servers:
        server.container.restart(timeout=30)
    for number, server in enumerate(servers):
        is_read_by(server.wait(), f"again-{number}")
    # Of what happens, the replica that did it tells, and no other.
    before = len(received(receiver, "/w"))
    created = a.post("/api/2.0/mlflow/registered-models/create", name="m")
    assert created.status_code == 200, created.text
    wait_until(lambda: len(received(receiver, "/w")) > before, 30, "the webhook is delivered")
    assert b.call("DELETE", webhook).status_code == 200
    sent = received(receiver, "/w")
    assert len(sent) == before + 1
    for headers, body in sent:
        assert headers["x-mlflow-signature"] == signature("of a webhook", headers, body)


def test_no_key_is_to_be_seen(a: Server) -> None:
    processes: Any = execute(
        a.container, "sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ"
    ).stdout
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false" in processes.split("\0")
    shown = json.dumps(a.container.attrs) + logs(a.container) + processes
    for key in (WEBHOOK_KEY, PASSPHRASE):
        assert key not in shown


@pytest.mark.parametrize("jobs", ["true", "false"])
def test_job_consumers_have_the_keys_where_mlflow_looks(
    sandbox: Sandbox, mlflow_image: str, secrets: list[str], jobs: str
) -> None:
    command = ["printenv", "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", "MLFLOW_CRYPTO_KEK_PASSPHRASE"]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": jobs}
    container = sandbox.run(mlflow_image, command, environment=environment, volumes=secrets)
    both = f"{WEBHOOK_KEY}\n{PASSPHRASE}\n"
    assert ends(container) == ((0, both) if jobs == "true" else (1, ""))


def test_a_bad_key_file_gives_one_line(sandbox: Sandbox, mlflow_image: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("")
    mount = f"{key}:/run/secrets/{WEBHOOK_KEY_FILE}:ro"
    status, output = ends(sandbox.run(mlflow_image, ["true"], volumes=[mount]))
    assert (status, output) == (
        1,
        "mlflow: /run/secrets/webhook-key is not one line: write the key of the webhooks' secrets"
        " there\n",
    )
