"""Who is told a server's figures."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from infra.images.mlflow.stores.mlflow_bench_stores import metrics

TOKEN = "of-prometheus-alone"


async def _gate(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 401, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(metrics.FOLDER, str(tmp_path_factory.mktemp("metrics")))
        yield metrics.measured(_gate, lambda _, __: "other", TOKEN)


def asked(application: Any, *authorizations: str) -> int:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    headers = [(b"authorization", value.encode()) for value in authorizations]
    scope = {"type": "http", "method": "GET", "path": metrics.PATH, "headers": headers}
    asyncio.run(application(scope, None, send))
    return int(messages[0]["status"])


def test_only_who_shows_the_token_is_told_and_all_others_come_to_the_gate(application: Any) -> None:
    assert asked(application, f"Bearer {TOKEN}") == 200
    refused: list[tuple[str, ...]] = [
        (),
        ("",),
        (f"Bearer {TOKEN}x",),
        (f"Basic {TOKEN}",),
        (TOKEN,),
        ("Bearer t\u00f6ken",),
        (f"Bearer {TOKEN}", f"Bearer {TOKEN}"),
    ]
    assert {asked(application, *given) for given in refused} == {401}
