"""Who gets in by an identity provider, with a token or a browser, and who does not."""

import asyncio
import base64
import itertools
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from mlflow.exceptions import MlflowException
from werkzeug.security import generate_password_hash

from infra.images.mlflow.stores.mlflow_bench_stores import access, oidc, oidc_cookies
from infra.images.mlflow.stores.mlflow_bench_stores.access import Gate, Passwords, User
from infra.images.mlflow.stores.mlflow_bench_stores.oidc import SignOn
from infra.images.mlflow.stores.mlflow_bench_stores.oidc_provider import Provider, Settings
from tests.serving import LOOPBACK
from tests.unit.infra.images.identity_provider import (
    CLIENT,
    CLIENT_SECRET,
    OTHER_RSA,
    IdentityProvider,
)

KEY = "the same in all replicas"
GET_RUN, CREATE_RUN = "/api/2.0/mlflow/runs/get", "/api/2.0/mlflow/runs/create"
ADMIN = User(1, "admin", generate_password_hash("of admin", "pbkdf2:sha256:1"), is_admin=True)
HOST = "localhost:5000"


class Answer:
    """What a server answered, and who asked of what it passed on."""

    def __init__(self, sent: list[Any], asked: list[User | None]) -> None:
        self.status = sent[0]["status"]
        self.headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
        self.body = sent[1].get("body", b"").decode()
        self.asked = asked

    def header(self, name: str) -> str:
        found: dict[str, str] = dict(self.headers)
        return found[name]

    @property
    def cookies(self) -> dict[str, str]:
        """Values by name; an empty one is removed."""
        set_cookies = [value for name, value in self.headers if name == "set-cookie"]
        return dict(one.partition(";")[0].split("=", 1) for one in set_cookies)

    @property
    def query(self) -> dict[str, str]:
        """Parameters of where it leads to."""
        found = parse_qs(urlsplit(self.header("location")).query)
        return {name: values[0] for name, values in found.items()}


class Replica:
    """A server with its gate, on a table of users that others may share."""

    runner: asyncio.Runner

    def __init__(
        self,
        settings: Settings,
        users: dict[str, User] | None = None,
        key: str = KEY,
        client_secret: str = CLIENT_SECRET,
    ) -> None:
        self.users = {"admin": ADMIN} if users is None else users
        self.asked: list[User | None] = []
        self.settings, self._key, self._client_secret = settings, key, client_secret
        self.made = 1
        self.gate = Replica.runner.run(self._made())

    async def _made(self) -> Gate:
        passwords = Passwords(self.users.get, 10)
        sign_on = SignOn(
            Provider(self.settings),
            client_secret=self._client_secret,
            key=self._key,
            find=passwords.find,
            create=self._create,
        )
        return Gate(self._inside, self._inside, passwords, "of the check", sign_on)

    def _create(self, name: str) -> None:
        assert name not in self.users
        self.made += 1
        self.users[name] = User(self.made, name, "unknown", is_admin=False)

    async def _inside(self, _scope: Any, _receive: Any, send: Any) -> None:
        self.asked.append(access._asks().user)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    def ask(self, path: str = GET_RUN, **options: Any) -> Answer:
        self.asked = []
        return self.runner.run(self.answer(path, **options))

    async def answer(
        self,
        path: str,
        *,
        method: str = "GET",
        cookies: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        given = {"host": HOST} | (headers or {})
        if token is not None:
            given["authorization"] = f"Bearer {token}"
        if cookies:
            given["cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        await self.gate.answer(scope, None, send)  # type: ignore[arg-type]
        return Answer(sent, self.asked)

    def sign_in(self, idp: IdentityProvider, headers: Any = None, **claims: Any) -> Answer:
        """What a browser gets that comes back from the provider with these claims."""
        begun = self.ask(oidc.LOGIN, headers=headers)
        assert begun.status == 303, begun.body
        idp.codes["code"] = {"nonce": begun.query["nonce"], **claims}
        back = f"{oidc.CALLBACK}?code=code&state={begun.query['state']}"
        return self.ask(back, cookies=begun.cookies, headers=headers)


@pytest.fixture(scope="module", autouse=True)
def event_loop() -> Iterator[None]:
    with asyncio.Runner() as Replica.runner:
        yield


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's password costs as little as the administrator's."""
    monkeypatch.setattr(access, "generate_password_hash", lambda _: ADMIN.password_hash)


@pytest.fixture
def replica(idp: IdentityProvider) -> Replica:
    return Replica(idp.settings)


class AuthConfig(NamedTuple):
    """What is changed of MLflow's settings of users."""

    authorization_function: str


@contextmanager
def asking(user: User) -> Iterator[None]:
    """Be within a request of this user's."""
    token = access._asking.set(access.Asking(user))
    try:
        yield
    finally:
        access._asking.reset(token)


PAGE = {"accept": "text/html,*/*", "sec-fetch-mode": "navigate", "sec-fetch-site": "none"}


def test_a_job_gets_in_by_a_token_and_is_a_user_from_then_on(
    replica: Replica, idp: IdentityProvider
) -> None:
    for _ in range(2):
        answer = replica.ask(CREATE_RUN, method="POST", token=idp.token())
        assert (answer.status, answer.asked[0]) == (200, replica.users["ann@example.com"])
    assert set(replica.users) == {"admin", "ann@example.com"}


@pytest.mark.parametrize(
    "changes",
    [{"iss": "https://elsewhere.example"}, {"aud": "another"}, {"exp": 1}, {"nbf": 1 << 40}],
)
def test_a_token_that_is_not_valid_says_why_and_makes_nobody(
    replica: Replica, idp: IdentityProvider, changes: dict[str, Any]
) -> None:
    token = idp.token(**changes)
    answer = replica.ask(token=token)
    assert (answer.status, answer.asked) == (401, [])
    assert 'error="invalid_token"' in answer.header("www-authenticate")
    assert "The token is refused: it " in answer.body
    assert token.split(".")[1] not in answer.body
    assert set(replica.users) == {"admin"}


def test_a_token_by_another_s_key_lets_nobody_in(replica: Replica, idp: IdentityProvider) -> None:
    assert replica.ask(token=idp.token(OTHER_RSA)).status == 401


@pytest.mark.parametrize(
    "name", ["admin", "Admin", "ADMIN", " admin", "a\0b", "a\nb", "", "x" * 256]
)
def test_no_claim_names_the_administrator_or_nonsense(
    replica: Replica, idp: IdentityProvider, name: str
) -> None:
    answer = replica.ask(token=idp.token(email=name))
    assert (answer.status, answer.asked) == (403, [])
    assert set(replica.users) == {"admin"}


@pytest.mark.parametrize("changes", [{"email": None}, {"email": ["ann"]}, {"email": 7}])
def test_a_token_without_a_name_lets_nobody_in(
    replica: Replica, idp: IdentityProvider, changes: dict[str, Any]
) -> None:
    answer = replica.ask(token=idp.token(**changes))
    assert (answer.status, "claim email is no name" in answer.body) == (403, True)


@pytest.mark.parametrize("verified", [False, "false", None, 0])
def test_an_address_that_is_not_verified_is_no_name(
    replica: Replica, idp: IdentityProvider, verified: object
) -> None:
    claims = idp.claims() | {"email_verified": verified}
    with pytest.raises(oidc.RefusedError, match="not verified"):
        oidc.person(claims, idp.settings)


def test_a_provider_that_says_nothing_of_it_is_believed(idp: IdentityProvider) -> None:
    claims = idp.claims(email_verified=None)
    assert oidc.person(claims, idp.settings).name == "ann@example.com"
    other = replace(idp.settings, username_claim="sub")
    assert oidc.person(idp.claims(email_verified=False), other).name == "1"


@pytest.mark.parametrize(
    ("groups", "status", "is_admin"),
    [
        (["team"], 200, False),
        (["other", "team"], 200, False),
        (["ops"], 200, True),
        ("team", 200, False),
        (["other"], 403, None),
        (["Team"], 403, None),
        ([], 403, None),
        (None, 403, None),
        ({"team": True}, 403, None),
        ([["team"]], 403, None),
    ],
)
def test_groups_decide_who_comes_in_and_who_is_an_administrator(
    idp: IdentityProvider, groups: object, status: int, is_admin: bool | None
) -> None:
    replica = Replica(idp.with_groups(admin="ops", allowed="team"))
    answer = replica.ask(token=idp.token(groups=groups))
    assert answer.status == status
    assert [user.is_admin for user in answer.asked if user] == (
        [] if is_admin is None else [is_admin]
    )
    # For this request, and in no table.
    assert [user.is_admin for name, user in replica.users.items() if name != "admin"] in (
        [],
        [False],
    )


def test_what_mlflow_s_table_has_makes_nobody_an_administrator(
    replica: Replica, idp: IdentityProvider
) -> None:
    cookies = replica.sign_in(idp).cookies
    made = replica.users["ann@example.com"]
    replica.users["ann@example.com"] = replace(made, is_admin=True)
    for answer in (replica.ask(token=idp.token()), replica.ask(cookies=cookies)):
        [user] = answer.asked
        assert user == made


@pytest.mark.parametrize("change", ["update_user", "delete_user"])
def test_only_the_administrator_s_password_changes_the_administrator(change: str) -> None:
    changed: list[tuple[str, Any]] = []

    def keep(username: str, **options: Any) -> None:
        changed.append((username, options))

    store = SimpleNamespace(get_user=None, update_user=keep, delete_user=keep)
    auth = SimpleNamespace(store=store, auth_config=AuthConfig(""))
    access._by_group(auth)
    chief = User(2, "olga", "", is_admin=True)
    changing = getattr(store, change)
    with asking(chief), pytest.raises(MlflowException, match="only its password") as caught:
        changing("admin", password="another")
    assert caught.value.error_code == "PERMISSION_DENIED"
    with asking(chief):
        changing("ann", password="another")
    with asking(ADMIN):
        changing("admin", password="another")
    assert changed == [("ann", {"password": "another"}), ("admin", {"password": "another"})]


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def test_the_administrator_alone_has_a_password(replica: Replica, idp: IdentityProvider) -> None:
    replica.users["ann"] = replace(ADMIN, id=2, username="ann")
    assert replica.ask(headers=basic("admin", "of admin")).asked == [ADMIN]
    for name, password in (("admin", "wrong"), ("ann", "of admin"), ("Admin", "of admin")):
        answer = replica.ask(headers=basic(name, password))
        assert (answer.status, answer.asked) == (401, [])
        assert answer.header("www-authenticate").startswith("Bearer ")


def test_a_page_leads_to_the_provider_and_a_program_is_told(
    replica: Replica, idp: IdentityProvider
) -> None:
    answer = replica.ask("/a b?x=1&y=%2F", headers=PAGE)
    assert answer.status == 302
    assert answer.header("location") == "/oidc/login?next=%2Fa%2520b%3Fx%3D1%26y%3D%252F"
    for headers in ({}, {"accept": "application/json"}, PAGE | {"sec-fetch-mode": "cors"}):
        told = replica.ask("/", headers=headers)
        assert told.status == 401
        assert f"a bearer token of {idp.issuer}" in told.body
    assert replica.ask("/", headers=PAGE, method="POST").status == 401
    assert replica.ask("/health").status == 200


def test_a_browser_is_sent_with_a_challenge_and_comes_back_with_a_session(
    replica: Replica, idp: IdentityProvider
) -> None:
    begun = replica.ask(f"{oidc.LOGIN}?next=/x%3Fy%3D1", headers=PAGE)
    assert begun.header("location").startswith(f"{idp.issuer}/auth?")
    asked = begun.query
    assert asked["client_id"] == CLIENT
    assert asked["redirect_uri"] == f"http://{HOST}/oidc/callback"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert asked["scope"] == "openid email groups"
    idp.codes["abc"] = {"nonce": asked["nonce"]}
    back = f"{oidc.CALLBACK}?code=abc&state={asked['state']}"
    ended = replica.ask(back, cookies=begun.cookies)
    assert (ended.status, ended.header("location")) == (303, "/x?y=1")
    [(form, authorization)] = idp.exchanged
    assert len(form["code_verifier"]) >= 43
    assert form["redirect_uri"] == asked["redirect_uri"]
    assert authorization == basic(CLIENT, CLIENT_SECRET)["authorization"]
    assert "client_secret" not in form
    cookies = ended.cookies
    assert cookies.pop("mlflow-sign-in-5000") == ""
    [user] = replica.ask("/", headers=PAGE, cookies=cookies).asked
    assert user
    assert user.username == "ann@example.com"
    [header] = [value for name, value in ended.headers if "mlflow-session" in value]
    assert header.endswith("; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600")


def test_all_replicas_take_a_session_that_one_has_given(idp: IdentityProvider) -> None:
    settings, users = idp.with_groups(admin="ops", allowed="team"), {"admin": ADMIN}
    first, second = Replica(settings, users), Replica(settings, users)
    begun = first.ask(oidc.LOGIN)
    idp.codes["code"] = {"nonce": begun.query["nonce"], "groups": ["ops", "x"]}
    back = f"{oidc.CALLBACK}?code=code&state={begun.query['state']}"
    ended = second.ask(back, cookies=begun.cookies)
    [user] = first.ask(cookies=ended.cookies).asked
    assert user
    assert user.is_admin


def test_with_tls_cookies_are_for_this_host_by_tls_alone(idp: IdentityProvider) -> None:
    for settings, headers in (
        (replace(idp.settings, tls=True), {}),
        (idp.settings, {"x-forwarded-proto": "https"}),
    ):
        replica = Replica(settings)
        begun = replica.ask(oidc.LOGIN, headers=headers)
        assert begun.query["redirect_uri"] == f"https://{HOST}/oidc/callback"
        ended = replica.sign_in(idp, headers)
        set_cookies = [value for name, value in ended.headers if name == "set-cookie"]
        assert all(one.startswith("__Host-") and one.endswith("; Secure") for one in set_cookies)
        assert replica.ask(cookies=ended.cookies, headers=headers).status == 200


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda cookies: {}, 400),
        (lambda cookies: {name: value[:-1] for name, value in cookies.items()}, 400),
        (lambda cookies: cookies | {"mlflow-sign-in-5000": "x"}, 400),
    ],
)
def test_a_sign_in_that_this_browser_did_not_begin_is_refused(
    replica: Replica, idp: IdentityProvider, change: Any, status: int
) -> None:
    begun = replica.ask(oidc.LOGIN)
    idp.codes["code"] = {"nonce": begun.query["nonce"]}
    back = f"{oidc.CALLBACK}?code=code&state={begun.query['state']}"
    answer = replica.ask(back, cookies=change(begun.cookies))
    assert (answer.status, answer.cookies) == (status, {})
    assert idp.exchanged == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nonce": "another"}, "it belongs to another sign-in"),
        ({"nonce": None}, "it has no claim nonce"),
        ({"aud": "another"}, "it is for another audience"),
        ({"aud": ["mlflow", "another"], "azp": "another"}, "it is for another client"),
        ({"iss": "https://elsewhere.example"}, "it is another issuer&#x27;s"),
        ({"exp": 1}, "it has expired"),
        ({"email": "admin"}, "Nobody is called admin"),
        ({"email_verified": False}, "not verified"),
    ],
)
def test_an_id_token_of_something_else_signs_nobody_in(
    replica: Replica, idp: IdentityProvider, changes: dict[str, Any], said: str
) -> None:
    answer = replica.sign_in(idp, **changes)
    assert (answer.status, said in answer.body) == (403, True), answer.body
    assert answer.cookies == {"mlflow-sign-in-5000": ""}
    assert set(replica.users) == {"admin"}


def test_another_state_or_issuer_ends_a_sign_in(replica: Replica, idp: IdentityProvider) -> None:
    begun = replica.ask(oidc.LOGIN)
    state, cookies = begun.query["state"], begun.cookies
    for query, status in (
        (f"code=code&state={state}x", 400),
        ("code=code", 400),
        (f"code=a&code=b&state={state}", 400),
        (f"state={state}", 400),
        (f"code=code&state={state}&iss=https://elsewhere.example", 400),
        (f"error=access_denied&error_description=%3Cb%3Eno&state={state}", 403),
        (f"code=unknown&state={state}", 403),
    ):
        answer = replica.ask(f"{oidc.CALLBACK}?{query}", cookies=cookies)
        assert (answer.status, query) == (status, query)
        assert "<b>" not in answer.body
        assert "<nobody>" not in answer.body
        assert not any("session" in name for name in answer.cookies)
    assert answer.cookies == {"mlflow-sign-in-5000": ""}


def test_windows_that_sign_in_at_once_all_come_to_an_end(
    replica: Replica, idp: IdentityProvider
) -> None:
    first = replica.ask(oidc.LOGIN)
    second = replica.ask(oidc.LOGIN, cookies=first.cookies)
    assert second.query["state"] == first.query["state"]
    idp.codes |= {code: {"nonce": first.query["nonce"]} for code in ("a", "b")}
    back = f"{oidc.CALLBACK}?state={first.query['state']}&code="
    signed_in = replica.ask(f"{back}a", cookies=second.cookies)
    late = replica.ask(f"{back}b", cookies=signed_in.cookies)
    assert (late.status, late.header("location")) == (303, "/")


@pytest.mark.parametrize(
    "path",
    [
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "/%5celsewhere",
        "javascript:alert(1)",
        "/oidc/logout",
        "/a%0d%0aset-cookie:x",
        "é",
    ],
)
def test_nobody_is_sent_elsewhere_after_a_sign_in(
    replica: Replica, idp: IdentityProvider, path: str
) -> None:
    begun = replica.ask(f"{oidc.LOGIN}?next={path}")
    idp.codes["code"] = {"nonce": begun.query["nonce"]}
    back = f"{oidc.CALLBACK}?code=code&state={begun.query['state']}"
    answer = replica.ask(back, cookies=begun.cookies)
    assert (answer.status, answer.header("location")) == (303, "/")


def test_a_session_is_of_its_stack_alone_and_cannot_be_changed(idp: IdentityProvider) -> None:
    replica = Replica(idp.settings)
    [(name, value)] = [
        pair for pair in replica.sign_in(idp).cookies.items() if "session" in pair[0]
    ]
    assert replica.ask(cookies={name: value}).status == 200
    content, time, signature = value.split(".")
    forged = base64.urlsafe_b64encode(b'{"name":"bob","groups":["ops"]}').decode().rstrip("=")
    for other in (
        f"{forged}.{time}.{signature}",
        f"{content}.{time}.{signature[:-2]}AA",
        f"{content}.{time}",
        f"{content}.{time[:-1]}_.{signature}",
        forged,
        "",
    ):
        assert replica.ask(cookies={name: other}).status == 401
    begun = replica.ask(oidc.LOGIN).cookies["mlflow-sign-in-5000"]
    assert replica.ask(cookies={name: begun}).status == 401
    of_another_stack = Replica(idp.settings, replica.users, key="of another stack")
    assert of_another_stack.ask(cookies={name: value}).status == 401


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "another"},
        {"username_claim": "sub"},
        {"groups_claim": "roles"},
        {"admin_groups": ("ops",)},
        {"allowed_groups": ("team",)},
    ],
)
def test_who_signed_in_under_other_settings_signs_in_again(
    idp: IdentityProvider, change: dict[str, Any]
) -> None:
    replica = Replica(idp.settings)
    cookies = replica.sign_in(idp).cookies
    changed = Replica(replace(idp.settings, **change), replica.users)
    assert changed.ask(cookies=cookies).status == 401
    assert changed.ask("/", headers=PAGE, cookies=cookies).status == 302


def test_a_session_ends(idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = Replica(replace(idp.settings, session_seconds=60))
    cookies = replica.sign_in(idp).cookies
    assert replica.ask(cookies=cookies).status == 200
    monkeypatch.setattr(oidc_cookies, "time", lambda: time.time() + 62)
    assert replica.ask(cookies=cookies).status == 401


@pytest.mark.parametrize(("behind", "status"), [(1, 200), (20, 200), (60, 401)])
def test_a_session_counts_where_the_clock_is_a_little_behind(
    idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch, behind: float, status: int
) -> None:
    replica = Replica(idp.settings)
    cookies = replica.sign_in(idp).cookies
    monkeypatch.setattr(oidc_cookies, "time", lambda: time.time() - behind)
    assert replica.ask(cookies=cookies).status == status


def test_a_user_whom_mlflow_no_longer_has_is_out_at_the_next_request(
    replica: Replica, idp: IdentityProvider
) -> None:
    cookies = replica.sign_in(idp).cookies
    del replica.users["ann@example.com"]
    assert replica.ask(cookies=cookies).status == 401
    assert "ann@example.com" not in replica.users
    # Somebody of that name who is made anew is somebody else.
    assert replica.ask(token=idp.token()).status == 200
    assert replica.ask(cookies=cookies).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "same-origin", "origin": f"http://{HOST}"}, 200),
        ({}, 200),
        ({"origin": f"http://{HOST}"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "https://elsewhere.example"}, 403),
        ({"origin": "http://localhost:6000"}, 403),
        ({"origin": f"https://{HOST}"}, 403),
        ({"origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_a_page_of_another_site_changes_nothing(
    replica: Replica, idp: IdentityProvider, headers: dict[str, str], status: int, method: str
) -> None:
    cookies = replica.sign_in(idp).cookies
    assert replica.ask(CREATE_RUN, method=method, cookies=cookies, headers=headers).status == status
    # A token is no cookie: no page has one that it was not given.
    given = replica.ask(CREATE_RUN, method=method, headers=headers, token=idp.token())
    assert given.status == 200


@pytest.mark.parametrize(
    ("site", "mode", "origin", "status"),
    [
        ("", "", "", 200),
        ("none", "navigate", "", 200),
        ("cross-site", "navigate", "", 200),
        ("same-site", "navigate", "", 200),
        ("same-origin", "cors", "", 200),
        ("same-origin", "cors", f"http://{HOST}", 200),
        ("", "", f"http://{HOST}", 200),
        ("same-site", "cors", "http://localhost:6000", 403),
        ("same-site", "no-cors", "", 403),
        ("cross-site", "cors", "https://elsewhere.example", 403),
        ("cross-site", "no-cors", "", 403),
        ("cross-site", "", "", 403),
        ("", "", "http://localhost:6000", 403),
        ("", "", f"https://{HOST}", 403),
        ("", "", "null", 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_page_of_another_port_or_site_reads_nothing(
    replica: Replica,
    idp: IdentityProvider,
    site: str,
    mode: str,
    origin: str,
    status: int,
    method: str,
) -> None:
    given = {"sec-fetch-site": site, "sec-fetch-mode": mode, "origin": origin}
    headers = {name: value for name, value in given.items() if value}
    cookies = replica.sign_in(idp).cookies
    assert replica.ask(method=method, cookies=cookies, headers=headers).status == status
    assert replica.ask(method=method, headers=headers, token=idp.token()).status == 200


def test_more_sign_ins_than_may_wait_are_told_to_come_again(
    replica: Replica, idp: IdentityProvider
) -> None:
    begun = replica.ask(oidc.LOGIN)
    back = f"{oidc.CALLBACK}?code=of-nobody&state={begun.query['state']}"
    idp.exchanges.clear()

    async def all_at_once() -> tuple[list[Answer], list[Answer]]:
        asked = [
            asyncio.create_task(replica.answer(back, cookies=begun.cookies))
            for _ in range(oidc.AT_ONCE + oidc.MOST_WAITING + 5)
        ]
        told = [await each for each in itertools.islice(asyncio.as_completed(asked), 5)]
        idp.exchanges.set()
        return told, await asyncio.gather(*asked)

    told, answers = replica.runner.run(all_at_once())
    assert [(answer.status, answer.header("retry-after")) for answer in told] == [(429, "1")] * 5
    # Their codes are good: the page may be loaded again.
    assert not any(answer.cookies for answer in told)
    assert sum(answer.status == 403 for answer in answers) == oidc.AT_ONCE + oidc.MOST_WAITING
    assert len(idp.exchanged) == oidc.AT_ONCE + oidc.MOST_WAITING
    assert replica.sign_in(idp).status == 303


def test_a_provider_that_is_slow_with_a_token_is_not_waited_for(
    replica: Replica, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = replica.ask(oidc.LOGIN)
    monkeypatch.setattr(oidc, "ANSWER_SECONDS", 0.05)
    idp.exchanges.clear()
    try:
        back = f"{oidc.CALLBACK}?code=code&state={begun.query['state']}"
        answer = replica.ask(back, cookies=begun.cookies)
    finally:
        idp.exchanges.set()
    assert (answer.status, "no token in 0.05 s" in answer.body) == (503, True)


def test_a_wrong_token_is_not_made_good_by_a_session(
    replica: Replica, idp: IdentityProvider
) -> None:
    cookies = replica.sign_in(idp).cookies
    assert replica.ask(cookies=cookies, token="a.b.c").status == 401
    assert replica.ask(cookies=cookies, headers=basic("ann", "x")).status == 401


@pytest.mark.parametrize("secret", ["a+b%2Fc :~", "пароль", "\N{SNOWMAN}"])
def test_a_secret_of_any_signs_is_given_as_a_form_has_it(
    idp: IdentityProvider, secret: str
) -> None:
    assert Replica(idp.settings, client_secret=secret).sign_in(idp).status == 303
    [(_, authorization)] = idp.exchanged
    assert authorization == basic(CLIENT, quote(secret, safe=""))["authorization"]


@pytest.mark.parametrize("value", [None, [], 7, "openid", [None, {}]])
@pytest.mark.parametrize("name", ["scopes_supported", "token_endpoint_auth_methods_supported"])
def test_a_provider_whose_lists_are_none_is_taken_as_usual(
    replica: Replica, idp: IdentityProvider, name: str, value: object
) -> None:
    idp.said = {name: value}
    assert replica.ask(oidc.LOGIN).query["scope"].startswith("openid ")
    assert replica.sign_in(idp).status == 303


@pytest.mark.parametrize("tokens", [[], None, 7, {}, {"id_token": None}, {"error": None}])
def test_an_answer_without_a_token_is_told(
    replica: Replica, idp: IdentityProvider, tokens: object
) -> None:
    idp.tokens = tokens
    answer = replica.sign_in(idp)
    assert answer.status in (403, 503)
    assert "<p>" in answer.body


def test_an_authority_whose_file_is_away_is_told(idp: IdentityProvider) -> None:
    replica = Replica(replace(idp.settings, issuer=f"https://{LOOPBACK}:9", ca_file="/not/there"))
    for answer in (replica.ask(token=idp.token()), replica.ask(oidc.LOGIN)):
        assert (answer.status, "could not be asked" in answer.body) == (503, True)


@pytest.mark.parametrize("host", ["ml_flow:5000", "mlflow-a.example.com", "[::1]:5000"])
def test_a_host_may_have_the_names_that_hosts_have(replica: Replica, host: str) -> None:
    asked = replica.ask(oidc.LOGIN, headers={"host": host}).query
    assert asked["redirect_uri"] == f"http://{host}/oidc/callback"


def test_a_sign_out_forgets_the_session(replica: Replica, idp: IdentityProvider) -> None:
    answer = replica.ask(oidc.LOGOUT, cookies=replica.sign_in(idp).cookies)
    assert (answer.status, answer.cookies) == (200, {"mlflow-session-5000": ""})
    assert f'href="{idp.issuer}/end"' in answer.body
    assert "default-src 'none'" in answer.header("content-security-policy")


def test_signing_in_is_for_browsers(replica: Replica, idp: IdentityProvider) -> None:
    for path in (oidc.LOGIN, oidc.CALLBACK, oidc.LOGOUT):
        assert replica.ask(path, method="POST").status == 405
        assert replica.ask(path, headers={"host": "a b"}).status == 400
    assert replica.ask("/oidc/other").status == 401


def test_while_the_provider_never_answered_everybody_is_told(
    replica: Replica, idp: IdentityProvider
) -> None:
    idp.is_down = True
    for answer in (replica.ask(token=idp.token()), replica.ask(oidc.LOGIN)):
        assert answer.status == 503
        assert "could not be asked yet" in answer.body
        assert answer.header("retry-after") == "5"
    assert replica.ask(headers=basic("admin", "of admin")).status == 200


def test_a_provider_that_goes_away_within_a_sign_in_is_told(
    replica: Replica, idp: IdentityProvider
) -> None:
    begun = replica.ask(oidc.LOGIN)
    idp.is_down = True
    back = f"{oidc.CALLBACK}?code=code&state={begun.query['state']}"
    assert replica.ask(back, cookies=begun.cookies).status == 503


def test_a_database_that_does_not_answer_is_told(
    replica: Replica, idp: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: str) -> None:
        raise MlflowException("(psycopg2) at postgres: gone")

    monkeypatch.setattr(replica.gate._passwords, "_find", gone)
    for answer in (replica.ask(token=idp.token()), replica.sign_in(idp)):
        assert answer.status >= 500
        assert "The users cannot be read." in answer.body
        assert "psycopg2" not in answer.body


def test_the_gateway_takes_a_token_in_a_header_of_its_own(
    replica: Replica, idp: IdentityProvider
) -> None:
    key = {"authorization": "Bearer sk-of-the-provider"}
    own = {"x-mlflow-authorization": f"Bearer {idp.token()}"}
    assert replica.ask("/gateway/mlflow/v1/models", headers=key).status == 401
    assert replica.ask("/gateway/mlflow/v1/models", headers=key | own).status == 200


def test_forged_headers_and_two_tokens_let_nobody_in(
    replica: Replica, idp: IdentityProvider
) -> None:
    names = ("x-forwarded-user", "x-forwarded-email", "x-auth-request-user", "remote-user")
    assert replica.ask(headers=dict.fromkeys(names, "admin")).status == 401
    assert replica.ask(headers={"x-forwarded-access-token": idp.token()}).status == 401
    assert replica.ask(f"{GET_RUN}?access_token={idp.token()}").status == 401


def test_a_cookie_that_no_browser_would_keep_is_not_given(idp: IdentityProvider) -> None:
    chance = random.Random(1)
    groups = " ".join(f"{chance.getrandbits(128):032x}" for _ in range(200))
    replica = Replica(idp.with_groups(allowed=groups))
    answer = replica.sign_in(idp, groups=groups.split())
    assert (answer.status, "too many of the groups" in answer.body) == (403, True)
    long = replica.ask(f"{oidc.LOGIN}?next=/{'x' * oidc_cookies.MOST_BYTES}")
    assert long.status == 303
