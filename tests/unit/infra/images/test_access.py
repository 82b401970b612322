"""Who is let in, and what a worker does for it: comparisons once each, and none too many."""

import asyncio
import base64
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from werkzeug.security import check_password_hash, generate_password_hash

from infra.images.mlflow.stores.mlflow_bench_stores import access
from infra.images.mlflow.stores.mlflow_bench_stores.access import (
    BusyError,
    Gate,
    Passwords,
    User,
    credentials,
)

CHEAP = "pbkdf2:sha256:1"
ANN = User(7, "ann", generate_password_hash("of ann: ü", CHEAP), is_admin=False)
PROBE = "the token of the check"


class Table:
    """Users by name, and how often each was looked up."""

    def __init__(self, *users: User) -> None:
        self.users = {user.username: user for user in users}
        self.asked: list[str] = []

    def find(self, name: str) -> User | None:
        self.asked.append(name)
        return self.users.get(name)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords that were compared, in order."""
    compared: list[str] = []

    def counted(stored: str, password: str) -> bool:
        compared.append(password)
        return check_password_hash(stored, password)

    monkeypatch.setattr(access, "check_password_hash", counted)
    return compared


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Nobody's password costs as little as Ann's, but where it is timed."""
    if "timed" not in request.node.name:
        monkeypatch.setattr(
            access,
            "generate_password_hash",
            lambda password: generate_password_hash(password, CHEAP),
        )


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def basic(name: str, password: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{name}:{password}".encode())


def test_a_password_is_compared_once_and_a_wrong_one_each_time(compared: list[str]) -> None:
    async def ask() -> None:
        passwords = Passwords(Table(ANN).find, 10)
        for _ in range(3):
            assert await passwords.user("ann", "of ann: ü") == ANN
            assert await passwords.user("ann", "another") is None

    run(ask())
    assert compared == ["of ann: ü", "another", "another", "another"]


def test_without_memory_each_is_compared(compared: list[str]) -> None:
    async def ask() -> None:
        passwords = Passwords(Table(ANN).find, 0)
        for _ in range(3):
            assert await passwords.user("ann", "of ann: ü") == ANN

    run(ask())
    assert len(compared) == 3


def test_who_is_removed_or_has_another_password_is_refused_at_once() -> None:
    async def ask() -> None:
        table = Table(ANN)
        passwords = Passwords(table.find, 10)
        assert await passwords.user("ann", "of ann: ü") == ANN
        table.users["ann"] = User(7, "ann", generate_password_hash("new", CHEAP), is_admin=False)
        assert await passwords.user("ann", "of ann: ü") is None
        assert await passwords.user("ann", "new") is not None
        table.users.clear()
        assert await passwords.user("ann", "new") is None

    run(ask())


def test_who_is_an_administrator_no_more_is_not_one_from_the_next_request_on() -> None:
    async def ask() -> None:
        table = Table(User(7, "ann", ANN.password_hash, is_admin=True))
        passwords = Passwords(table.find, 10)
        found = await passwords.user("ann", "of ann: ü")
        assert found
        assert found.is_admin
        table.users["ann"] = ANN
        assert await passwords.user("ann", "of ann: ü") == ANN

    run(ask())


def test_an_unknown_user_costs_a_comparison_as_a_wrong_password_does(compared: list[str]) -> None:
    async def ask() -> None:
        passwords = Passwords(Table(ANN).find, 10)
        assert await passwords.user("nobody", "some password") is None
        assert await passwords.user("nobody", "some password") is None

    run(ask())
    assert compared == ["some password"] * 2


def test_what_is_asked_at_once_is_compared_once(compared: list[str]) -> None:
    async def ask() -> None:
        passwords = Passwords(Table(ANN).find, 10)
        found = await asyncio.gather(*(passwords.user("ann", "of ann: ü") for _ in range(20)))
        assert found == [ANN] * 20

    run(ask())
    assert compared == ["of ann: ü"]


def test_a_client_that_goes_away_takes_no_answer_from_another() -> None:
    async def ask() -> None:
        passwords = Passwords(Table(ANN).find, 10)
        first, second = (asyncio.create_task(passwords.user("ann", "of ann: ü")) for _ in range(2))
        while not passwords._running:
            await asyncio.sleep(0)
        first.cancel()
        assert await second == ANN

    run(ask())


def test_comparisons_follow_one_another_and_too_many_are_turned_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    goes_on, now, most = threading.Event(), [], []

    def slow(_: str, password: str) -> bool:
        now.append(password)
        most.append(len(now))
        goes_on.wait(60)
        now.remove(password)
        return False

    monkeypatch.setattr(access, "check_password_hash", slow)
    monkeypatch.setattr(access, "MOST_WAITING", 5)

    async def ask() -> list[Any]:
        passwords = Passwords(Table(ANN).find, 10)
        tasks = [asyncio.create_task(passwords.user("ann", f"guess {n}")) for n in range(8)]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        while sum(task.done() for task in tasks) < 3:
            await asyncio.sleep(0.01)
        goes_on.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = run(ask())
    assert sum(isinstance(one, BusyError) for one in found) == 3
    assert max(most) == 1


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Basic",
        b"Basic !!!",
        b"Basic " + base64.b64encode(b"no colon"),
        b"Basic " + base64.b64encode(b":no name"),
        b"Basic " + base64.b64encode(b"nul\0:x"),
        b"Basic " + base64.b64encode(b"\xff\xfe:x"),
        b"Bearer " + base64.b64encode(b"ann:of ann"),
    ],
)
def test_other_headers_name_nobody(header: bytes) -> None:
    assert credentials(header) is None


def test_a_password_may_have_colons_and_letters_of_any_language() -> None:
    assert credentials(basic("ann", "a:b ü")) == ("ann", "a:b ü")


class Inside:
    """An application that notes who asked."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        user = access._asks().user
        self.asked.append(user.username if user else None)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})


async def preflights(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def status_of(
    path: str,
    *headers: tuple[bytes, bytes],
    method: str = "GET",
    query: bytes = b"",
    find: Any = None,
) -> tuple[int, list[str | None]]:
    """Ask a gate; return the answer's status, and who asked of what passed."""
    inside, sent = Inside(), list[Any]()

    async def ask() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": list(headers),
        }
        passwords = Passwords(find or Table(ANN).find, 10)
        gate = Gate(inside.application, preflights, passwords, PROBE)
        await gate.answer(scope, None, send)  # type: ignore[arg-type]

    run(ask())
    return sent[0]["status"], inside.asked


AS_ANN = (b"authorization", basic("ann", "of ann: ü"))
AS_PROBE = (b"authorization", f"Bearer {PROBE}".encode())


@pytest.mark.parametrize("path", ["/health", "/version", "/static-files/main.js"])
def test_what_is_nobody_s_is_open(path: str) -> None:
    assert status_of(path) == (200, [None])
    assert status_of(path, method="POST") == (401, [])


@pytest.mark.parametrize(
    "path", ["/", "/metrics", "/healthy", "/static", "/api/2.0/mlflow/runs/get", "/anything"]
)
def test_all_else_asks_who_it_is(path: str) -> None:
    assert status_of(path) == (401, [])
    assert status_of(path, AS_ANN) == (200, ["ann"])


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-forwarded-user", b"ann"), (b"remote-user", b"ann"), (b"x-remote-user", b"ann")],
        [(b"x-forwarded-for", b"127.0.0.1"), (b"x-real-ip", b"127.0.0.1")],
        [(b"x-mlflow-authorization", AS_ANN[1])],
        [AS_ANN, (b"authorization", basic("admin", "x"))],
        [(b"cookie", b"user=ann"), (b"proxy-authorization", AS_ANN[1])],
    ],
)
def test_other_headers_let_nobody_in(headers: list[tuple[bytes, bytes]]) -> None:
    assert status_of("/api/2.0/mlflow/runs/get", *headers) == (401, [])


def test_a_browser_s_question_for_another_site_reaches_nothing_and_opens_nothing() -> None:
    path = "/api/2.0/mlflow/runs/create"
    both = [(b"origin", b"https://a.example"), (b"access-control-request-method", b"POST")]
    assert status_of(path, *both, method="OPTIONS") == (204, [])
    assert status_of(path, *both, method="POST") == (401, [])
    assert status_of(path, both[0], method="OPTIONS") == (401, [])
    assert status_of(path, both[1], method="OPTIONS") == (401, [])


def test_the_gateway_takes_a_header_of_its_own_before_a_provider_s_key() -> None:
    key = (b"authorization", b"Bearer sk-of-the-provider")
    own = (b"x-mlflow-authorization", AS_ANN[1])
    assert status_of("/gateway/mlflow/v1/models", key) == (401, [])
    assert status_of("/gateway/mlflow/v1/models", key, own) == (200, ["ann"])


def test_the_check_of_readiness_may_ask_two_things() -> None:
    for path, query in access.PROBED:
        assert status_of(path, AS_PROBE, query=query) == (200, [""])
        assert status_of(path, AS_PROBE, query=query + b"0") == (401, [])
        assert status_of(path, AS_PROBE, query=query, method="POST") == (401, [])
    assert status_of("/api/2.0/mlflow/users/list", AS_PROBE) == (401, [])


@pytest.mark.parametrize(
    ("path", "open_to_users"),
    [
        ("/api/3.0/mlflow/server-info", True),
        ("/ajax-api/3.0/mlflow/server-info", True),
        ("/gateway/proxy/of-others/chat/completions?x=/mlflow/server-info", False),
        ("/api/2.0/mlflow-artifacts/artifacts/1/mlflow/server-info", False),
        ("/api/2.0/mlflow-artifacts/mpu/create/1/api/3.0/mlflow/server-info", False),
        ("/api/3.0/mlflow/mcp-servers/one/tags/mlflow/server-info", False),
        ("/mlflow/server-info", False),
    ],
)
def test_no_path_that_only_ends_like_an_open_one_is_open(path: str, open_to_users: bool) -> None:
    token = access._asking.set(access.Asking(ANN))
    try:
        assert access._asks_nobody(path) is open_to_users
    finally:
        access._asking.reset(token)


@pytest.mark.parametrize(
    ("path", "stored"),
    [
        ("7/run/artifacts/a", "7/run/artifacts/a"),
        ("./7//run/./artifacts/a/", "7/run/artifacts/a"),
        ("%2e/7/%252e/run", "7/run"),
        ("7/../8/run", None),
        ("7\\..\\8", None),
        ("./", None),
    ],
)
def test_permission_is_asked_for_the_path_that_the_stores_take(
    path: str, stored: str | None
) -> None:
    assert access._as_stored(path) == stored


def test_a_database_that_does_not_answer_is_told_and_nothing_passes() -> None:
    def find(_: str) -> User | None:
        raise MlflowException("(psycopg2) at postgres: gone", error_code=2)

    status, asked = status_of("/api/2.0/mlflow/runs/get", AS_ANN, find=find)
    assert (status >= 500, asked) == (True, [])


def test_an_unknown_user_takes_as_long_as_a_wrong_password_timed() -> None:
    """With the hash that new users get; the shortest of several tries, as others are at work."""
    strong = User(1, "eve", generate_password_hash("of eve"), is_admin=False)

    async def ask(name: str) -> float:
        passwords = Passwords(Table(strong).find, 10)
        best = 60.0
        for _ in range(5):
            began = time.perf_counter()
            assert await passwords.user(name, "a wrong one") is None
            best = min(best, time.perf_counter() - began)
        return best

    known, unknown = run(ask("eve")), run(ask("nobody"))
    assert 1 / 3 < known / unknown < 3
