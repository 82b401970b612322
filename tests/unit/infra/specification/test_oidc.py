"""What a stack file may say of its identity provider, and each mistake in one line."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from infra.components.users import Auth
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from tests.unit.infra.checks.test_external import ROOT, SECRET, load

PROVIDER: dict[str, Any] = {
    "issuer": "https://login.example.com/realms/ml",
    "client_id": "mlflow",
    "client_secret": SECRET,
}


def spec(**changes: Any) -> DeploymentSpec:
    """A stack with this provider, None leaves a key out."""
    given = {key: value for key, value in (PROVIDER | changes).items() if value is not None}
    return load("oidc", auth="oidc", oidc=given)


def complaint(*secret_keys: str, **config: Any) -> str:
    with pytest.raises(SpecError) as caught:
        load(*secret_keys, **config)
    line = str(caught.value)
    assert "\n" not in line
    assert SECRET not in line
    return line


@pytest.mark.parametrize(
    ("change", "start", "also"),
    [
        ({"issuer": None}, "oidc.issuer: field required", "config set --path oidc.issuer https:"),
        ({"issuer": "http://login.example.com"}, "oidc.issuer: is not https://", ""),
        ({"issuer": "login.example.com"}, "oidc.issuer: is not https://", ""),
        ({"issuer": "https://"}, "oidc.issuer: is not https://", ""),
        ({"issuer": "https://login.example.com:0"}, "oidc.issuer: is not https://", ""),
        ({"issuer": "https://login.example.com:x"}, "oidc.issuer: is not https://", ""),
        ({"issuer": f"https://a:{SECRET}@login"}, "oidc.issuer: is not https://", ""),
        ({"issuer": "https://login.example.com/?a=b"}, "oidc.issuer: is not https://", ""),
        ({"issuer": "https://login.example.com/ a"}, "oidc.issuer: is not https://", ""),
        ({"client_id": None}, "oidc.client_id: field required", "--path oidc.client_id mlflow"),
        ({"client_id": "a b"}, "oidc.client_id: string should match", ""),
        ({"client_secret": None}, "oidc.client_secret: field required", "--secret --path oidc.cl"),
        ({"client_secret": ""}, "oidc.client_secret: is empty", "--secret --path oidc.client"),
        ({"audience": ""}, "oidc.audience: string should have", "--path oidc.audience mlflow"),
        ({"username_claim": ""}, "oidc.username_claim: string should have", ""),
        ({"admin_groups": {"a": "b"}}, "oidc.admin_groups: input should be", "mlflow-admins"),
        ({"session": "1"}, "oidc.session: is not a number of minutes", "oidc.session 1h"),
        ({"groups_claim": "roles"}, "oidc.groups_claim: is of no use without", "config rm --path"),
        ({"group": "x"}, "oidc.group: is not a configuration key", "known keys: issuer"),
        ({"isuer": "x"}, "oidc.isuer: is not a configuration key", "mean oidc.issuer?"),
    ],
)
@pytest.mark.parametrize("encrypted", [("oidc",), ()], ids=["encrypted", "plain"])
def test_a_bad_provider_is_refused_in_one_line(
    change: dict[str, Any], start: str, also: str, encrypted: tuple[str, ...]
) -> None:
    given = {key: value for key, value in (PROVIDER | change).items() if value is not None}
    line = complaint(*encrypted, auth="oidc", oidc=given)
    assert line.startswith(start)
    assert also in line


@pytest.mark.parametrize(
    ("config", "start"),
    [
        ({"auth": "oidc"}, "oidc.issuer: is missing: auth oidc needs an identity provider"),
        ({"oidc": PROVIDER}, "oidc: is of no use with auth none; set auth oidc, or pulumi config"),
        ({"oidc": PROVIDER, "auth": "basic"}, "oidc: is of no use with auth basic"),
        ({"auth": "oidc", "oidc": "https://x"}, "oidc.issuer: is missing: oidc has to be an"),
        ({"auth": "sso"}, "auth: 'sso': input should be 'none', 'basic' or 'oidc'"),
    ],
)
def test_what_does_not_fit_together_is_said(config: dict[str, Any], start: str) -> None:
    assert complaint("oidc", **config).startswith(start)


def test_a_secret_in_plain_text_is_refused() -> None:
    line = complaint(auth="oidc", oidc=PROVIDER)
    assert line.startswith("oidc.client_secret: is plain text in the stack file; replace it")


def test_a_provider_s_settings_are_read() -> None:
    known = spec(client_id=12345, admin_groups="ops, leads", allowed_groups=["ml"], ca="ca.pem")
    assert known.auth is Auth.OIDC
    assert known.oidc
    assert known.oidc.ca == ROOT / "ca.pem"
    assert SECRET not in repr(known) + str(known.model_dump())
    assert known.users
    sign_on = known.users.sign_on
    assert sign_on
    assert (sign_on.client_id, sign_on.audience) == ("12345", "12345")
    assert (sign_on.admin_groups, sign_on.allowed_groups) == (("ops", "leads"), ("ml",))
    assert (sign_on.session_seconds, sign_on.has_ca, sign_on.tls) == (3600, True, False)


def test_jobs_may_have_an_audience_of_their_own_and_sessions_their_length() -> None:
    users = spec(audience="api://mlflow", session="8h").users
    assert users
    assert users.sign_on
    assert (users.sign_on.audience, users.sign_on.session_seconds) == ("api://mlflow", 8 * 3600)


def test_of_an_address_every_character_counts() -> None:
    known = spec(issuer="https://login.example.com/")
    assert known.oidc
    assert known.oidc.issuer == "https://login.example.com/"
    assert isinstance(known.oidc.ca, Path | None)


@pytest.mark.parametrize("groups", ["ops", "ops, leads", ["ops", "leads"]])
def test_editors_take_groups_in_both_ways(groups: object) -> None:
    encrypted = {"client_secret": {"secure": "v1:a:b"}}
    provider = PROVIDER | encrypted | {"admin_groups": groups}
    schema = json.loads((ROOT / "stacks/schema.json").read_text())
    jsonschema.validate({"config": {"mlflow-bench:oidc": provider}}, schema)
