"""Who may come to the gateway by the token of MLflow's jobs."""

import asyncio
import base64
from typing import Any

import pytest

from infra.images.mlflow.stores.mlflow_bench_stores import access, judges

TOKEN = "made by the image"
ANN = access.User(7, "ann", "", is_admin=False)
INVOKE = "/gateway/judge/mlflow/invocations"


async def _gate(scope: Any, receive: Any, send: Any) -> None:
    await send("the gate decides")


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await send(access._user().username)


@pytest.fixture(autouse=True)
def users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "_user", {"ann": ANN}.get)


def basic(name: str, password: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Basic " + base64.b64encode(f"{name}:{password}".encode())


def asked(path: str, *headers: tuple[bytes, bytes], kind: str = "http") -> str:
    said: list[str] = []

    async def send(message: Any) -> None:
        said.append(message)

    scope = {"type": kind, "path": path, "headers": headers}
    asyncio.run(judges.with_judges(_gate, _application, TOKEN)(scope, None, send))  # type: ignore[arg-type]
    return said[0]


def test_a_judge_comes_to_the_gateway_as_the_user_whose_job_it_is() -> None:
    assert asked(INVOKE, basic("ann", TOKEN)) == "ann"
    assert access._asking.get() is None


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/2.0/mlflow/experiments/search", [basic("ann", TOKEN)]),
        ("/gateway", [basic("ann", TOKEN)]),
        ("/api/../gateway/x", [basic("ann", TOKEN)]),
        (INVOKE, []),
        (INVOKE, [basic("ann", "her password")]),
        (INVOKE, [basic("nobody", TOKEN)]),
        (INVOKE, [basic("ann", "")]),
        (INVOKE, [(b"authorization", f"Bearer {TOKEN}".encode())]),
        (INVOKE, [basic("ann", TOKEN), basic("ann", TOKEN)]),
        (INVOKE, [basic("ann", TOKEN), (access.GATEWAY_HEADER, b"Basic YTpi")]),
    ],
)
def test_everything_else_comes_to_the_gate(path: str, headers: list[tuple[bytes, bytes]]) -> None:
    assert asked(path, *headers) == "the gate decides"
    assert asked(path, *headers, kind="websocket") == "the gate decides"
