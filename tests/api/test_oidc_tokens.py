"""ID tokens that are not to be believed, and what claims give: no more than the configuration says."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any, Final

import pytest
from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from pydantic import ValidationError

from api.oidc import mapping
from api.oidc.provider import plain
from api.oidc.tokens import Expected, UnknownKeyError, UntrustedError, claims_of, signing_keys
from api.oidc_settings import OidcSettings
from api.problems import Problem
from api.users.service import Rights

ISSUER: Final = "https://id.example"
NOW: Final = 1_800_000_000
SKEW: Final = 60
EXPECTED: Final = Expected(ISSUER, "icsight", "n-0S6_WzA2Mj", "SlAV32hkKG", NOW)
KEY: Final = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
ELLIPTIC: Final = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})
CLAIMS: Final[dict[str, Any]] = {
    "iss": ISSUER, "sub": "248289761001", "aud": "icsight", "nonce": EXPECTED.nonce, "iat": NOW, "exp": NOW + 300,
}  # fmt: skip
KEYS: Final = signing_keys({"keys": [KEY.as_dict(private=False), ELLIPTIC.as_dict(private=False)]})


def signed(claims: dict[str, Any], *, key: Any = KEY, alg: str = "RS256", **header: Any) -> str:
    return jwt.encode({"alg": alg, "kid": key.kid, **header}, claims, key, algorithms=[alg])


def read(token: str, keys: KeySet = KEYS, at: int = NOW) -> dict[str, Any]:
    return claims_of(token, keys, EXPECTED, at, SKEW)


@pytest.mark.parametrize(("key", "alg"), [(KEY, "RS256"), (KEY, "PS256"), (ELLIPTIC, "ES256")])
def test_a_token_of_the_provider_for_this_sign_in_is_believed(key: Any, alg: str) -> None:
    half: Any = create_half_hash(EXPECTED.access_token, alg)
    more: dict[str, Any] = {"aud": ["icsight", "history"], "azp": "icsight", "at_hash": half.decode(), "groups": ["shift"]}
    more["auth_time"] = NOW - SKEW
    assert read(signed({**CLAIMS, **more}, key=key, alg=alg))["groups"] == ["shift"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"iss": "https://other.example"}, "iss"),
        ({"iss": f"{ISSUER}/"}, "iss"),
        ({"aud": "history"}, "aud"),
        ({"aud": ["history"]}, "aud"),
        ({"aud": ["icsight", "history"]}, "azp"),
        ({"azp": "history"}, "azp"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"exp": NOW - SKEW}, "exp"),
        ({"exp": "never"}, "exp"),
        ({"iat": NOW + SKEW + 1}, "iat"),
        ({"nbf": NOW + SKEW + 1}, "nbf"),
        ({"at_hash": "MTIzNDU2Nzg5MDEyMzQ1Ng"}, "at_hash"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 256}, "sub"),
        ({"sub": 7}, "sub"),
        ({"sub": "a\0b"}, "sub"),
        ({"sub": "林"}, "sub"),
        ({"auth_time": NOW - SKEW - 1}, "auth_time"),
        ({"auth_time": "now"}, "auth_time"),
    ],
)
def test_a_token_that_says_something_else_is_not(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UntrustedError, match=f"^{said}$"):
        read(signed({**CLAIMS, **changed}))


@pytest.mark.parametrize("missing", ["iss", "sub", "aud", "exp", "iat", "nonce"])
def test_a_token_that_leaves_something_out_is_not(missing: str) -> None:
    with pytest.raises(UntrustedError, match=f"^{missing}$"):
        read(signed({name: value for name, value in CLAIMS.items() if name != missing}))


@pytest.mark.parametrize("at", [NOW - SKEW, NOW + 300 + SKEW - 1])
def test_a_clock_may_be_off_by_as_much_as_is_set(at: int) -> None:
    assert read(signed(CLAIMS), at=at)["sub"] == CLAIMS["sub"]


def encoded(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize("alg", ["none", "None", ""])
def test_a_token_without_a_signature_is_not_believed(alg: str) -> None:
    for header in ({"alg": alg}, {"alg": alg, "kid": "one"}):
        with pytest.raises(UntrustedError):
            read(f"{encoded(header)}.{encoded(CLAIMS)}.")


def test_the_provider_s_public_key_is_no_shared_secret() -> None:
    for shared in (KEY.as_pem(private=False), KEY.as_bytes(private=False), json.dumps(KEY.as_dict(private=False)).encode()):
        for kid in ("one", None):
            said = f"{encoded({'alg': 'HS256', 'kid': kid} if kid else {'alg': 'HS256'})}.{encoded(CLAIMS)}"
            seal = base64.urlsafe_b64encode(hmac.digest(shared, said.encode(), "sha256")).decode().rstrip("=")
            with pytest.raises(UntrustedError, match="unsupported_algorithm"):
                read(f"{said}.{seal}")


def test_a_key_that_is_shared_or_encrypts_is_none_of_the_provider_s() -> None:
    shared, encrypting = OctKey.generate_key(256, {"kid": "s"}), RSAKey.generate_key(2048, {"kid": "e", "use": "enc"})
    newer = {"kty": "EC", "crv": "P-1024", "x": "AQAB", "y": "AQAB", "kid": "n"}
    keys = signing_keys({"keys": [newer, KEY.as_dict(private=False), shared.as_dict(), encrypting.as_dict(private=False)]})
    assert [key.kid for key in keys] == ["one"]
    with pytest.raises(UntrustedError):
        signing_keys({"keys": [shared.as_dict()]})


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": ["x"]}, {"keys": [{"kty": "RSA", "n": "!", "e": "AQAB"}]}])
def test_keys_that_cannot_be_read_are_told_as_such(document: dict[str, Any]) -> None:
    with pytest.raises(UntrustedError, match="no key of it can be read"):
        signing_keys(document)


def test_a_signature_of_another_key_is_not_believed() -> None:
    other = RSAKey.generate_key(2048, {"kid": "one"})
    for token in (signed(CLAIMS, key=other), signed(CLAIMS, key=RSAKey.generate_key(2048, {"kid": "new"}))):
        with pytest.raises(UnknownKeyError):
            read(token)
    # The key that the token brings along counts for nothing.
    brought = ECKey.generate_key("P-256", {"kid": "two"})
    with pytest.raises(UnknownKeyError):
        read(signed(CLAIMS, key=brought, alg="ES256", jwk=brought.as_dict(private=False)))
    for text in ("", "a.b", "a.b.c", "é", f"W10.{encoded(CLAIMS)}.x"):
        with pytest.raises(UntrustedError):
            read(text)


MAPPED: Final[dict[str, Any]] = {
    "issuer": ISSUER, "client_id": "icsight", "roles": {"root": "administrator", "shift": "operator"},
    "site_claim": "plants", "sites": {"ww": "waterworks", "pp": "power", "hq": "*"},
}  # fmt: skip


def mapped(**changed: Any) -> OidcSettings:
    return OidcSettings(**(MAPPED | changed))


@pytest.mark.parametrize(
    ("claims", "given"),
    [
        ({"groups": ["shift"], "plants": ["ww"]}, Rights("operator", frozenset({"waterworks"}))),
        ({"groups": "shift", "plants": "ww"}, Rights("operator", frozenset({"waterworks"}))),
        ({"groups": ["shift", "root"], "plants": ["pp", "ww"]}, Rights("administrator", frozenset({"power", "waterworks"}))),
        ({"groups": ["shift"], "plants": ["ww", "hq"]}, Rights("operator", None)),
        ({"groups": ["administrator"], "plants": ["ww"]}, "oidc_role_none"),
        ({"groups": ["Shift"], "plants": ["ww"]}, "oidc_role_none"),
        ({"groups": "shift root", "plants": ["ww"]}, "oidc_role_none"),
        ({"groups": [["shift"], 7, None, {"shift": 1}], "plants": ["ww"]}, "oidc_role_none"),
        ({"groups": {"shift": True}, "plants": ["ww"]}, "oidc_role_none"),
        ({"plants": ["ww"], "role": "administrator"}, "oidc_role_none"),
        ({"groups": ["shift"], "plants": ["*"]}, "oidc_site_none"),
        ({"groups": ["shift"], "plants": []}, "oidc_site_none"),
        ({"groups": ["shift"], "sites": ["ww"]}, "oidc_site_none"),
    ],
)
def test_what_an_account_gets_is_what_the_mapping_says(claims: dict[str, Any], given: Rights | str) -> None:
    if isinstance(given, Rights):
        assert mapping.rights(mapped(), claims) == given
        return
    with pytest.raises(Problem, match=given):
        mapping.rights(mapped(), claims)


def test_a_claim_may_lie_inside_another() -> None:
    settings = mapped(role_claim="realm_access.roles", site_claim=None, sites={})
    assert mapping.rights(settings, {"realm_access": {"roles": ["shift"]}}) == Rights("operator")
    assert mapping.rights(settings, {"realm_access.roles": ["root"], "realm_access": 7}) == Rights("administrator")


@pytest.mark.parametrize("name", [None, 7, "", "  ", "system", "token abc", "a\nb", "x" * 65, ["lin"]])
def test_a_name_that_no_account_may_have_is_refused(name: object) -> None:
    with pytest.raises(Problem, match="oidc_name_unfit"):
        mapping.named(mapped(), {"preferred_username": name})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"issuer": "http://id.example"}, "issuer is none"),
        ({"issuer": "https://id.example?x=1"}, "issuer is none"),
        ({"issuer": "https://a@id.example"}, "issuer is none"),
        ({"client_id": ""}, "needs client_id"),
        ({"roles": {}}, "needs client_id, and roles"),
        ({"roles": {"x": "god"}}, "roles"),
        ({"sites": {}}, "belong together"),
        ({"site_claim": None}, "belong together"),
        ({"scopes": ("profile",)}, "openid"),
        ({"client_secret": "a", "client_secret_file": "b"}, "both given"),
    ],
)
def test_a_configuration_that_cannot_hold_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        mapped(**changed)


def test_what_a_provider_calls_its_error_is_shown_without_what_is_no_code() -> None:
    assert plain("access_denied") == "access_denied"
    assert plain("<b>no</b>\n漢") == "bnob"
    assert plain("") == "?"
