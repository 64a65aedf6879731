"""What an ID token must be to be believed (OpenID Connect Core 1.0, 3.1.3.7). Pure: whoever calls gives keys and time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that are taken: with the provider's own key, never with one that this system shares, never without any."""

SUBJECT_CHARACTERS: Final = 255
"""Longest `sub` (OpenID Connect Core 1.0, 2)."""


class UntrustedError(Exception):
    """A token is not to be believed. The text says why in a few words, without anything of the token."""


class UnknownKeyError(UntrustedError):
    """No key that is known has made a token's signature: the provider may have new ones."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token has to say.

    Attributes:
        issuer: who made it.
        client_id: for whom.
        nonce: for which sign-in.
        access_token: what came with it.
        since: seconds since 1970 after which somebody must have shown who he is, where the token says when he did; None for any.
    """

    issuer: str
    client_id: str
    nonce: str
    access_token: str
    since: int | None = None


def signing_keys(document: dict[str, Any]) -> KeySet:
    """The keys of a JWK set that sign; none of those that are shared. Raises UntrustedError where there are none.

    A key that cannot be read is passed over (RFC 7517, 5): a provider may have kinds that are newer than this.
    """
    listed = document.get("keys")
    keys: list[Key] = []
    for each in cast("list[Any]", listed) if isinstance(listed, list) else []:
        with suppress(JoseError, KeyError, TypeError, ValueError, AttributeError):
            if each.get("use", "sig") == "sig" and each.get("kty") != "oct":
                keys.append(JWKRegistry.import_key(each))
    if not keys:
        raise UntrustedError("no key of it can be read")
    return KeySet(keys)


def claims_of(token: str, keys: KeySet, expected: Expected, at: int, skew: int) -> dict[str, Any]:
    """What an ID token says.

    Args:
        token: the token.
        keys: the provider's keys.
        expected: what it has to say.
        at: the time, seconds since 1970.
        skew: how many seconds the provider's clock may be off.

    Raises:
        UnknownKeyError: none of the keys fits.
        UntrustedError: it is not to be believed.
    """
    try:
        decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
    except (InvalidKeyIdError, BadSignatureError) as error:
        raise UnknownKeyError("signed with no key of the provider") from error
    except (JoseError, ValueError) as error:
        raise UntrustedError(f"no token that is taken ({_why(error)})") from error
    options = {
        "iss": {"essential": True, "value": expected.issuer},
        "aud": {"essential": True, "value": expected.client_id},
        "nonce": {"essential": True, "value": expected.nonce},
    }
    params = {"client_id": expected.client_id, "nonce": expected.nonce, "access_token": expected.access_token}
    claims = cast("Any", CodeIDToken)(decoded.claims, decoded.header, options, params)
    try:
        claims.validate(at, skew)
    except JoseError as error:
        raise UntrustedError(_why(error)) from error
    shown = claims.get("auth_time")
    if expected.since is not None and shown is not None and not (isinstance(shown, int) and shown >= expected.since - skew):
        raise UntrustedError("auth_time")
    if not _is_subject(claims["sub"]):
        raise UntrustedError("sub")
    return dict(claims)


def _is_subject(given: object) -> bool:
    """Whether it is what names people (OpenID Connect Core 1.0, 2): ASCII, of which nothing is a control character."""
    return isinstance(given, str) and 0 < len(given) <= SUBJECT_CHARACTERS and given.isascii() and given.isprintable()


def _why(error: Exception) -> str:
    """What an error is about: the claim where one is named. Its description may hold what the token says."""
    claim = getattr(error, "claim", None)
    return str(claim) if claim else str(getattr(error, "error", type(error).__name__))
