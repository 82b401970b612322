"""Which tokens let somebody in, and what becomes of that when the provider is away."""

import asyncio
import base64
import hmac
import json
import random
import time
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from joserfc import jws
from joserfc.jwk import OctKey, RSAKey

from infra.images.mlflow.stores.mlflow_bench_stores import oidc_provider
from infra.images.mlflow.stores.mlflow_bench_stores.oidc_provider import (
    Provider,
    ProviderError,
    TokenError,
)
from tests.unit.infra.images.identity_provider import (
    ELLIPTIC,
    OTHER_RSA,
    RSA,
    IdentityProvider,
)

KEYS = "/keys"


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def claims(idp: IdentityProvider, token: str, **settings: Any) -> Any:
    provider = Provider(replace(idp.settings, **settings))
    return asyncio.run(provider.claims(token))


def refusal(idp: IdentityProvider, token: str) -> str:
    with pytest.raises(TokenError) as caught:
        claims(idp, token)
    said = str(caught.value)
    assert "\n" not in said
    assert '"' not in said
    return said


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
def test_a_token_of_the_provider_s_is_valid(idp: IdentityProvider, algorithm: str) -> None:
    assert claims(idp, idp.token(alg=algorithm))["email"] == "ann@example.com"


def test_so_is_one_by_an_elliptic_curve_or_for_several_audiences(idp: IdentityProvider) -> None:
    assert claims(idp, idp.token(ELLIPTIC, "ES256", aud=["other", "mlflow"]))["sub"] == "1"


def test_an_access_token_of_rfc_9068_is_one(idp: IdentityProvider) -> None:
    assert claims(idp, idp.token(typ="at+JWT"))["sub"] == "1"


def now(seconds: float) -> int:
    return int(time.time() + seconds)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"iss": "https://elsewhere.example"}, "it is another issuer's"),
        ({"iss": None}, "it has no claim iss"),
        ({"aud": "another-client"}, "it is for another audience"),
        ({"aud": ["a", "b"]}, "it is for another audience"),
        ({"aud": []}, "it is for another audience"),
        ({"aud": None}, "it has no claim aud"),
        ({"aud": {"mlflow": 1}}, "it is for another audience"),
        ({"exp": now(-3600)}, "it has expired"),
        ({"exp": None}, "it has no claim exp"),
        ({"exp": "tomorrow"}, "a claim of it is not what it has to be"),
        ({"nbf": now(3600)}, "it is not yet valid"),
        ({"iat": now(3600)}, "it was issued in the future"),
    ],
)
def test_a_token_with_other_claims_is_refused(
    idp: IdentityProvider, changes: dict[str, Any], said: str
) -> None:
    assert refusal(idp, idp.token(**changes)) == said


@pytest.mark.parametrize("typ", ["logout+jwt", "secevent+jwt", "ID"])
def test_a_token_that_calls_itself_otherwise_is_none(idp: IdentityProvider, typ: str) -> None:
    assert refusal(idp, idp.token(typ=typ)) == "it is no access or ID token"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}, "no access or ID"),
        ({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, "the holder of a key"),
        ({"cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}}, "holder of a key"),
    ],
)
def test_a_token_that_is_more_than_a_bearer_s_is_refused(
    idp: IdentityProvider, changes: dict[str, Any], said: str
) -> None:
    assert said in refusal(idp, idp.token(**changes))


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (ELLIPTIC, "ES256"), (RSA, "PS256")])
def test_a_token_that_names_no_key_is_by_one_of_the_provider_s(
    idp: IdentityProvider, key: Any, alg: str
) -> None:
    assert claims(idp, idp.signed({"alg": alg}, key))["sub"] == "1"
    said = refusal(idp, idp.signed({"alg": "RS256"}, OTHER_RSA))
    assert said == "it is signed by a key that the issuer does not have"
    assert refusal(idp, idp.signed({"alg": alg}, key, aud="x")) == "it is for another audience"


def part(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_a_token_without_a_signature_is_refused(idp: IdentityProvider) -> None:
    for alg in ("none", "None", "NONE", ""):
        token = f"{part({'alg': alg, 'kid': RSA.kid})}.{part(idp.claims())}."
        assert refusal(idp, token)


@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
def test_the_public_key_is_no_secret_to_sign_by(idp: IdentityProvider, form: str) -> None:
    """HS256 with what everybody has."""
    public = {
        "pem": RSA.as_pem(private=False),
        "der": RSA.public_key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
        "jwk": json.dumps(RSA.as_dict(private=False)).encode(),
    }[form]
    # By hand, as the library refuses to.
    signed = f"{part({'alg': 'HS256', 'kid': RSA.kid})}.{part(idp.claims())}"
    signature = hmac.digest(public, signed.encode(), "sha256")
    token = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
    assert refusal(idp, token) == "it is not signed by an algorithm with a private key"


def test_a_secret_among_the_provider_s_keys_signs_nothing(idp: IdentityProvider) -> None:
    secret = OctKey.generate_key(256, {"kid": "shared"})
    idp.keys.append(secret)
    assert refusal(idp, idp.token(secret, "HS256"))


def test_another_s_key_of_the_same_name_signs_nothing(idp: IdentityProvider) -> None:
    forged = RSAKey.generate_key(2048, {"kid": str(RSA.kid)}, private=True)
    assert refusal(idp, idp.token(forged)) == "its signature is wrong"


def test_a_key_in_the_token_itself_signs_nothing(idp: IdentityProvider) -> None:
    own = RSAKey.generate_key(2048, private=True)
    header = {"alg": "RS256", "jwk": own.as_dict(private=False), "jku": "http://127.0.0.1/"}
    content = json.dumps(idp.claims()).encode()
    token = jws.serialize_compact(
        header,
        content,
        own,
        registry=jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False),
    )
    assert refusal(idp, token)


def test_a_key_for_something_else_signs_nothing(idp: IdentityProvider) -> None:
    other = RSAKey.generate_key(2048, {"kid": "of-encryption", "use": "enc"}, private=True)
    idp.keys.append(other)
    header = {"alg": "RS256", "kid": "of-encryption"}
    plain = RSAKey.import_key({**other.as_dict(private=True), "use": "sig"})
    token = jws.serialize_compact(header, json.dumps(idp.claims()).encode(), plain)
    assert refusal(idp, token)


def test_odd_keys_of_the_provider_are_left_out(idp: IdentityProvider) -> None:
    odd = [1, {}, {"kty": "RSA"}, {"kty": "AKP", "alg": "ML-DSA-44"}, {"kty": "EC", "crv": "no"}]
    answer = idp.answer

    def with_odd(path: str) -> tuple[int, Any]:
        status, content = answer(path)
        if path == KEYS:
            content["keys"] = [*odd, *content["keys"]]
        return status, content

    idp.answer = with_odd  # type: ignore[method-assign]
    try:
        assert claims(idp, idp.token())["sub"] == "1"
    finally:
        del idp.answer


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_is_refused_in_words(idp: IdentityProvider, seed: int) -> None:
    """Valid tokens with bytes changed, left out and added."""
    chance, valid = random.Random(seed), idp.token()
    provider = Provider(idp.settings)
    signs = "".join(map(chr, range(256)))

    async def ask() -> None:
        for _ in range(150):
            letters = list(valid)
            for _ in range(chance.randrange(1, 8)):
                at = chance.randrange(len(letters) - 2)
                letters[at : at + chance.randrange(3)] = chance.choices(
                    signs, k=chance.randrange(3)
                )
            token = "".join(letters)
            if token.rstrip("=") == valid:
                continue
            with pytest.raises(TokenError):
                await provider.claims(token)

    asyncio.run(ask())


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 5000, "[]", "1", "null"])
def test_an_odd_content_that_is_signed_is_refused(idp: IdentityProvider, content: str) -> None:
    token = jws.serialize_compact({"alg": "RS256", "kid": RSA.kid}, content.encode(), RSA)
    assert refusal(idp, token)
    header = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
    assert refusal(idp, f"{header}.{header}.AAAA")


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "...", "é.é.é", f"{'A' * 200_000}.B.C"])
def test_what_is_no_token_is_refused(idp: IdentityProvider, token: str) -> None:
    assert refusal(idp, token)


def test_keys_are_fetched_once_for_all_who_come(idp: IdentityProvider) -> None:
    provider = Provider(idp.settings)

    async def ask() -> None:
        tokens = [idp.token(sub=str(number)) for number in range(20)]
        found = await asyncio.gather(*map(provider.claims, tokens))
        assert [one["sub"] for one in found] == [str(number) for number in range(20)]

    asyncio.run(ask())
    assert idp.asked.count(KEYS) == 1


def test_new_keys_are_fetched_when_a_token_names_one(idp: IdentityProvider) -> None:
    clock = Clock()
    provider = Provider(idp.settings, now=clock)

    async def ask() -> None:
        await provider.claims(idp.token())
        idp.keys = [OTHER_RSA]
        clock.now += oidc_provider.PAUSE_SECONDS
        assert (await provider.claims(idp.token(OTHER_RSA)))["sub"] == "1"
        # What it has withdrawn is nothing any more.
        with pytest.raises(TokenError):
            await provider.claims(idp.token())

    asyncio.run(ask())
    assert idp.asked.count(KEYS) == 2


def test_tokens_by_unknown_keys_have_the_provider_asked_seldom(idp: IdentityProvider) -> None:
    clock = Clock()
    provider = Provider(idp.settings, now=clock)

    async def ask() -> None:
        await provider.claims(idp.token())
        for _ in range(50):
            clock.now += oidc_provider.PAUSE_SECONDS / 25
            with pytest.raises(TokenError, match="a key that the issuer does not have"):
                await provider.claims(idp.token(OTHER_RSA))

    asyncio.run(ask())
    assert idp.asked.count(KEYS) == 3


def test_withdrawn_keys_are_forgotten_in_time_and_nobody_waits(idp: IdentityProvider) -> None:
    clock = Clock()
    provider = Provider(idp.settings, now=clock)

    async def ask() -> None:
        await provider.claims(idp.token())
        idp.keys = [OTHER_RSA]
        clock.now += oidc_provider.REFRESHED_SECONDS + 1
        assert (await provider.claims(idp.token()))["sub"] == "1"
        while provider._running:
            await asyncio.sleep(0.01)
        with pytest.raises(TokenError):
            await provider.claims(idp.token())

    asyncio.run(ask())


def test_a_key_that_was_withdrawn_long_ago_is_not_used_once_more(idp: IdentityProvider) -> None:
    clock = Clock()
    provider = Provider(idp.settings, now=clock)

    async def ask() -> None:
        await provider.claims(idp.token())
        idp.keys = [OTHER_RSA]
        clock.now += 2 * oidc_provider.REFRESHED_SECONDS + 1
        asked = [provider.claims(idp.token()) for _ in range(3)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in found] == [TokenError] * 3

    asyncio.run(ask())
    assert idp.asked.count(KEYS) == 2


def test_a_provider_that_is_away_is_waited_for_once(idp: IdentityProvider) -> None:
    clock = Clock()
    provider = Provider(idp.settings, now=clock)

    async def ask() -> None:
        await provider.claims(idp.token())
        idp.is_down = True
        clock.now += 2 * oidc_provider.REFRESHED_SECONDS + 1
        waits = []
        for _ in range(5):
            before = len(idp.asked)
            assert (await provider.claims(idp.token()))["sub"] == "1"
            waits.append(provider._running is None and len(idp.asked) > before)
            while provider._running:
                await asyncio.sleep(0.01)
            clock.now += oidc_provider.PAUSE_SECONDS
        assert waits == [True, False, False, False, False]

    asyncio.run(ask())


def test_a_provider_that_is_away_keeps_nobody_out_whose_key_is_known(
    idp: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    provider = Provider(idp.settings, now=clock)

    async def ask() -> None:
        await provider.claims(idp.token())
        idp.is_down = True
        for _ in range(5):
            clock.now += oidc_provider.REFRESHED_SECONDS + 1
            assert (await provider.claims(idp.token()))["sub"] == "1"
            while provider._running:
                await asyncio.sleep(0.01)

    asyncio.run(ask())
    assert "it answers 502" in caplog.text
    assert "its former keys are used on" in caplog.text


def test_while_it_never_answered_nobody_can_be_told_apart(idp: IdentityProvider) -> None:
    clock = Clock()
    provider = Provider(idp.settings, now=clock)

    async def ask() -> None:
        idp.is_down = True
        for _ in range(10):
            with pytest.raises(ProviderError, match="it answers 502"):
                await provider.claims(idp.token())
        assert len(idp.asked) == 1
        idp.is_down = False
        clock.now += oidc_provider.PAUSE_SECONDS
        assert (await provider.claims(idp.token()))["sub"] == "1"

    asyncio.run(ask())


def test_a_client_that_goes_away_takes_the_keys_from_nobody_else(idp: IdentityProvider) -> None:
    provider = Provider(idp.settings)

    async def ask() -> None:
        first, second = (asyncio.create_task(provider.claims(idp.token())) for _ in range(2))
        while provider._running is None:
            await asyncio.sleep(0)
        first.cancel()
        assert (await second)["sub"] == "1"

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "https://elsewhere.example"}, "another issuer's"),
        ({"jwks_uri": None}, "no jwks_uri"),
        ({"token_endpoint": "ftp://127.0.0.1/"}, "no token_endpoint by http"),
        ({"jwks_uri": "https://127.0.0.1:1/"}, "no jwks_uri by http"),
    ],
)
def test_another_configuration_is_not_taken(
    idp: IdentityProvider, changes: dict[str, Any], said: str
) -> None:
    answer = idp.answer

    def changed(path: str) -> tuple[int, Any]:
        status, content = answer(path)
        return status, content | changes

    idp.answer = changed  # type: ignore[method-assign]
    try:
        with pytest.raises(ProviderError, match=said):
            claims(idp, "a.b.c")
    finally:
        del idp.answer


def test_a_provider_without_keys_lets_nobody_in(idp: IdentityProvider) -> None:
    idp.keys = []
    with pytest.raises(ProviderError, match="no key by which it could sign"):
        claims(idp, idp.token())


def test_nothing_at_its_address_is_told(idp: IdentityProvider) -> None:
    with pytest.raises(ProviderError, match="ConnectionError"):
        claims(idp, idp.token(), issuer="http://127.0.0.1:9")
