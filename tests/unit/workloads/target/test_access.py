"""What clients are let in by, and where each of them finds it."""

import base64
from pathlib import Path

import pytest
import requests

from workloads import CannotRunError
from workloads.commands.access_options import access_given
from workloads.target import access
from workloads.target.access import Access
from workloads.target.http_options import http_options

PASSWORD = "pass:w\u00f6rd"
STACK = Access(Path("/run/stack.crt"), "admin", PASSWORD)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (access.CA_FILE, access.INSECURE, access.USERNAME, access.PASSWORD, access.TOKEN):
        monkeypatch.delenv(name, raising=False)


def test_secrets_are_not_shown() -> None:
    assert PASSWORD not in repr(STACK)
    assert "t0ken" not in repr(Access(token="t0ken"))


def test_options_go_before_what_a_stack_says() -> None:
    token = Access(token="t0ken")
    assert STACK.with_given(Access()) == STACK
    assert STACK.with_given(token) == Access(STACK.ca_file, token="t0ken")
    assert token.with_given(STACK) == STACK
    assert STACK.with_given(Access(Path("/mine"))) == Access(Path("/mine"), "admin", PASSWORD)


def test_a_stack_goes_before_a_persons_own_settings() -> None:
    mine = {access.TOKEN: "t", access.INSECURE: "true", "OTHER": "x"}
    environ = dict(mine)
    access.install(STACK, environ)
    assert environ == {
        access.CA_FILE: "/run/stack.crt",
        access.USERNAME: "admin",
        access.PASSWORD: PASSWORD,
        "OTHER": "x",
    }
    access.install(Access(token="t0ken"), environ)
    assert environ == {access.CA_FILE: "/run/stack.crt", access.TOKEN: "t0ken", "OTHER": "x"}
    environ = dict(mine)
    access.install(Access(), environ)
    assert environ == mine


def test_a_pod_gets_it_as_files(tmp_path: Path) -> None:
    (tmp_path / "stack.crt").write_text("certificate")
    known = Access(tmp_path / "stack.crt", "admin", PASSWORD)
    pod = tmp_path / "pod"
    pod.mkdir()
    for name, text in known.files().items():
        (pod / name).write_text(text)
    assert access.from_files(pod) == Access(pod / "ca.crt", "admin", PASSWORD)
    assert (pod / "ca.crt").read_text() == "certificate"
    assert access.from_files(tmp_path / "none") == Access()
    assert Access().files() == {}


def test_requests_asks_as_mlflows_client_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert http_options() == {"auth": None, "verify": True}
    monkeypatch.setenv(access.TOKEN, "t0ken")
    monkeypatch.setenv(access.CA_FILE, "/ca")
    asked = requests.Request("GET", "https://x", auth=http_options()["auth"]).prepare()
    assert asked.headers["Authorization"] == "Bearer t0ken"
    assert http_options()["verify"] == "/ca"
    assert access.effective() == Access(Path("/ca"), token="t0ken")
    monkeypatch.setenv(access.INSECURE, "true")
    assert http_options()["verify"] is False


def test_a_password_goes_out_as_mlflows_client_sends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(access.USERNAME, "jürgen")
    monkeypatch.setenv(access.PASSWORD, "пароль:ü")
    asked = requests.Request("GET", "https://x", auth=http_options()["auth"]).prepare()
    sent = asked.headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "jürgen:пароль:ü"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"user": "me"}, "--user me: its password is missing; give --password-file, or set MLFLOW"),
        ({"user": "me:secret"}, "--user: leave the password out; give --password-file"),
        ({"user": "me", "token_file": Path("/x")}, "--user: give either --token-file or --user"),
        ({"password_file": Path("/x")}, "--password-file: give the user, too, by --user"),
        ({"user": "me", "password_file": Path("/none")}, "--password-file /none: No such file"),
        ({"ca_file": Path("/none")}, "--ca-file /none: No such file"),
        ({"ca_file": Path("/dev/null")}, "--ca-file /dev/null: has no certificate in PEM form"),
    ],
)
def test_what_cannot_be_is_one_line(options: dict[str, object], said: str) -> None:
    nothing = dict.fromkeys(("token_file", "user", "password_file", "ca_file"))
    with pytest.raises(CannotRunError) as caught:
        access_given(**(nothing | options))
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_password_is_in_a_file_or_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    expected = Access(username="me", password=PASSWORD)
    assert access_given(None, "me", tmp_path / "password", None) == expected
    monkeypatch.setenv(access.PASSWORD, PASSWORD)
    assert access_given(None, "me", None, None) == expected


def test_replicas_are_verified_by_what_is_theirs_and_the_rest_as_before() -> None:
    environ = {access.CA_FILE: "/run/front.crt"}
    with access.trusting(Path("/run/inside.pem"), environ):
        assert environ == {access.CA_FILE: "/run/inside.pem"}
    assert environ == {access.CA_FILE: "/run/front.crt"}
    careless = {access.INSECURE: "true"}
    with access.trusting(Path("/run/inside.pem"), careless):
        assert careless == {access.CA_FILE: "/run/inside.pem"}
    assert careless == {access.INSECURE: "true"}
    with access.trusting(None, careless):
        assert careless == {access.INSECURE: "true"}
