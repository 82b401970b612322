"""A server with users and jobs: a judge of a job asks a model through the server's own gateway."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from mlflow import MlflowClient
from mlflow.genai.judges import make_judge

from tests.images.sandbox import Postgres, Sandbox, logs, wait_until
from tests.images.traces import AGENT_ATTRIBUTES, Batch, new_trace
from tests.images.users import ADMIN, ServersWithUsers

pytestmark = [pytest.mark.plugins, pytest.mark.thorough]

SECONDS = 60
KEY = "of-the-provider"
MODEL = """
import http.server, json, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        print("asked with", self.headers["Authorization"], flush=True)
        said = json.dumps({"result": "yes", "rationale": "as it says so"})
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "m"}
        answer = json.dumps(answer | {"choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
"""Answers every question with yes, as a provider of models does."""


@pytest.fixture(scope="module")
def server(
    sandbox: Sandbox,
    postgres_image: str,
    mlflow_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServersWithUsers]:
    postgres = Postgres(sandbox, postgres_image, "-c", "max_connections=300", hostname="judges")
    wait_until(postgres.is_ready, 120, "PostgreSQL is ready")
    with ServersWithUsers(
        sandbox,
        mlflow_image,
        "judges",
        tmp_path_factory.mktemp("judges"),
        environment={
            "MLFLOW_GATEWAY_API_BASE_ALLOW_PRIVATE_IPS": "true",
            "MLFLOW_GATEWAY_API_BASE_ALLOWED_SCHEMES": "http",
        },
        jobs=True,
    ) as server:
        yield server


def ask(url: str, method: str, path: str, **body: Any) -> Any:
    answer = requests.request(method, url + path, json=body, auth=ADMIN, timeout=SECONDS)
    assert answer.ok, answer.text
    return answer.json()


def test_a_judge_of_a_job_asks_the_gateway_in_the_name_of_its_user(
    sandbox: Sandbox,
    mlflow_image: str,
    server: ServersWithUsers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, gateway = server.url(), "/api/3.0/mlflow/gateway"
    model = sandbox.run(mlflow_image, ["python", "-c", MODEL], hostname="model")
    secret = ask(
        *(url, "POST", f"{gateway}/secrets/create"),
        secret_name="key",
        secret_value={"api_key": KEY},
        provider="openai",
        auth_config={"api_base": "http://model:8000/v1"},
    )
    definition = ask(
        *(url, "POST", f"{gateway}/model-definitions/create"),
        name="model",
        secret_id=secret["secret"]["secret_id"],
        provider="openai",
        model_name="m",
    )
    config = {
        "model_definition_id": definition["model_definition"]["model_definition_id"],
        "linkage_type": "PRIMARY",
        "weight": 1,
    }
    made = {"name": "judge", "model_configs": [config], "usage_tracking": False}
    ask(url, "POST", f"{gateway}/endpoints/create", **made)

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])
    trace = new_trace()
    answer = requests.post(
        f"{url}/v1/traces",
        Batch().add(trace, attributes={**AGENT_ATTRIBUTES}).request.SerializeToString(),
        headers={"content-type": "application/x-protobuf", "x-mlflow-experiment-id": "0"},
        auth=ADMIN,
        timeout=SECONDS,
    )
    assert answer.ok, answer.text
    judge = make_judge(name="right", instructions="Is {{ outputs }} right?", model="gateway:/judge")
    started = ask(
        *(url, "POST", "/ajax-api/3.0/mlflow/scorer/invoke"),
        experiment_id="0",
        serialized_scorer=json.dumps(judge.model_dump()),
        trace_ids=[f"tr-{trace}"],
        log_assessments=True,
    )
    [job] = started["jobs"]
    found: dict[str, Any] = {}

    def ended() -> bool:
        found.update(ask(url, "GET", f"/ajax-api/3.0/jobs/{job['job_id']}"))
        return found["status"] not in ("PENDING", "RUNNING")

    wait_until(ended, 240, "the job has ended")
    assert found["status"] == "SUCCEEDED", found
    [right] = MlflowClient(url).get_trace(f"tr-{trace}").info.assessments
    assert right.value == "yes"
    assert f"asked with Bearer {KEY}" in logs(model)
    # Nobody else's word is taken for a judge's.
    invoke = f"{url}/gateway/judge/mlflow/invocations"
    for password in ("", "a guess"):
        answer = requests.post(invoke, json={}, auth=(ADMIN[0], password), timeout=SECONDS)
        assert answer.status_code == 401
