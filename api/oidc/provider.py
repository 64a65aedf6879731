"""The OpenID provider as this system speaks with it: discovery, its keys, and a code for what it says of a person."""

from __future__ import annotations

import io
import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.discovery import get_well_known_url
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from api.https import Adapter, closed_in
from api.oidc import mapping
from api.oidc.tokens import Expected, UnknownKeyError, UntrustedError, claims_of, signing_keys
from api.oidc_settings import OidcSettings, is_https
from api.problems import Problem
from api.times import NANOSECONDS, now
from sensor.configuration import ConfigurationError
from sensor.tls import TlsUnusable, client_context

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from joserfc.jwk import KeySet
    from requests import PreparedRequest, Response

KNOWN_SECONDS: Final = 3600.0
"""How long the provider's document and keys are held: a key that it has withdrawn is good for no longer."""

AT_A_TIME: Final = 4
"""Conversations with the provider at a time: one that is silent must not hold all that answers here."""

WAIT_SECONDS: Final = 2.0
"""How long one more waits for its turn."""

ANSWER_BYTES: Final = 1024 * 1024
"""Most bytes of an answer of the provider's."""

ANSWER_SECONDS: Final = 15.0
"""How long an answer may take to come in, however little of it comes at a time."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    document: Mapping[str, Any]
    keys: KeySet
    since: float


@dataclass(frozen=True, slots=True)
class Begun:
    """What a sign-in was begun with, and its code must be exchanged with.

    Attributes:
        nonce: what the ID token repeats.
        verifier: what the challenge was made of (RFC 7636).
        redirect: where the provider sends the browser back to.
        at: when, in seconds since 1970.
    """

    nonce: str
    verifier: str
    redirect: str
    at: int


class _Adapter(Adapter):
    """Reads no answer without an end."""

    def send(self, request: PreparedRequest, *given: Any, **options: Any) -> Response:
        """As the library does, with all of the answer. Raises RequestException."""
        answer = super().send(request, *given, **{**options, "stream": True})
        content, until = io.BytesIO(), time.monotonic() + ANSWER_SECONDS
        try:
            while piece := answer.raw.read1(ANSWER_BYTES):
                content.write(piece)
                if content.tell() > ANSWER_BYTES or time.monotonic() > until:
                    raise RequestException("an answer that is too long or takes too long")
        except HTTPError as error:
            raise RequestException("an answer that breaks off") from error
        finally:
            answer.raw.close()
        content.seek(0)
        answer.raw = content
        return answer


class Provider:
    """Speaks with the provider. What goes wrong is a Problem that says so; no other way to sign in depends on it.

    Args:
        settings: table `oidc`, with an issuer.

    Raises ConfigurationError where a file that it names cannot be used.
    """

    def __init__(self, settings: OidcSettings) -> None:
        self.settings: Final = settings
        self._secret: Final = settings.secret()
        try:
            self._context: Final = client_context(settings)
        except TlsUnusable as error:
            raise ConfigurationError(str(error)) from error
        self._known: _Known | None = None
        self._turns: Final = threading.BoundedSemaphore(AT_A_TIME)

    def check(self) -> None:
        """See that it answers and is who it says. Raises Problem `oidc_unreachable`, `oidc_untrusted`, `oidc_busy`."""
        with self._conversation() as client:
            self._document(client, fresh=True)

    def address(self, begun: Begun, state: str) -> str:
        """Where a browser is sent to sign in. Raises Problem `oidc_unreachable`, `oidc_untrusted`, `oidc_busy`."""
        with self._conversation() as client:
            document = self._document(client).document
            # `max_age` has the token say when somebody showed who he is (OpenID Connect Core 1.0, 2).
            anew = {"prompt": "login", "max_age": "0"} if self.settings.sign_in_anew else {}
            address, _ = client.create_authorization_url(
                document["authorization_endpoint"], state=state, code_verifier=begun.verifier, redirect_uri=begun.redirect,
                nonce=begun.nonce, **anew,
            )  # fmt: skip
            return str(address)

    def claims(self, begun: Begun, code: str, issuer: str | None) -> dict[str, Any]:
        """What the provider says of the person who brings a code.

        Args:
            begun: what the sign-in was begun with.
            code: the code, which is good once.
            issuer: who the browser says has given it (RFC 9207).

        Raises Problem `oidc_refused`, `oidc_untrusted`, `oidc_unreachable`, `oidc_busy`.
        """
        with self._conversation() as client:
            known = self._document(client)
            named = known.document.get("authorization_response_iss_parameter_supported") is True
            if issuer != self.settings.issuer and (named or issuer is not None):
                raise UntrustedError("iss")
            token = client.fetch_token(
                known.document["token_endpoint"], grant_type="authorization_code", code=code, code_verifier=begun.verifier,
                redirect_uri=begun.redirect, allow_redirects=False,
            )  # fmt: skip
            id_token, access_token = token.get("id_token"), token.get("access_token")
            if not isinstance(id_token, str) or not isinstance(access_token, str):
                raise UntrustedError("id_token")
            since = begun.at if self.settings.sign_in_anew else None
            expected = Expected(self.settings.issuer, self.settings.client_id, begun.nonce, access_token, since)
            claims = self._believed(client, known, id_token, expected)
            if mapping.missing(self.settings, claims) and "userinfo_endpoint" in known.document:
                claims = {**self._told(client, known.document["userinfo_endpoint"], claims["sub"]), **claims}
            return claims

    def _believed(self, client: Any, known: _Known, token: str, expected: Expected) -> dict[str, Any]:
        """What an ID token says; with keys that are asked for anew where none fits. Raises UntrustedError."""
        skew = self.settings.clock_seconds
        try:
            return claims_of(token, known.keys, expected, now() // NANOSECONDS, skew)
        except UnknownKeyError:
            fresh = self._document(client, fresh=True)
            return claims_of(token, fresh.keys, expected, now() // NANOSECONDS, skew)

    def _told(self, client: Any, address: object, subject: str) -> dict[str, Any]:
        """What the provider adds at its userinfo endpoint (OpenID Connect Core 1.0, 5.3). Raises UntrustedError."""
        told = self._json(client, address, withhold_token=False)
        if told.get("sub") != subject:
            raise UntrustedError("sub")
        return told

    def _document(self, client: Any, *, fresh: bool = False) -> _Known:
        """The provider's document and its keys. Raises UntrustedError."""
        known = self._known
        if known is not None and not fresh and time.monotonic() - known.since < KNOWN_SECONDS:
            return known
        document = self._json(client, get_well_known_url(self.settings.issuer, external=True))
        if document.get("issuer") != self.settings.issuer:
            raise UntrustedError("issuer")
        for name in ("authorization_endpoint", "token_endpoint"):
            if not is_https(str(document.get(name)).partition("?")[0]):
                raise UntrustedError(name)
        keys = signing_keys(self._json(client, document.get("jwks_uri")))
        self._known = _Known(document, keys, time.monotonic())
        return self._known

    def _json(self, client: Any, address: object, *, withhold_token: bool = True) -> dict[str, Any]:
        """An object that the provider answers. Raises UntrustedError, RequestException."""
        if not is_https(address):
            raise UntrustedError("an address without TLS")
        answer = client.get(address, withhold_token=withhold_token, allow_redirects=False, headers={"Accept": "application/json"})
        answer.raise_for_status()
        try:
            content = answer.json()
        except ValueError:
            content = None
        if not isinstance(content, dict) or answer.status_code != 200:
            raise UntrustedError("an answer that is no object of JSON")
        return cast("dict[str, Any]", content)

    @contextmanager
    def _conversation(self) -> Generator[Any]:
        """A client of the provider, and problems for what goes wrong with it."""
        if not self._turns.acquire(timeout=WAIT_SECONDS):
            raise Problem("oidc_busy", headers={"Retry-After": "5"})
        try:
            with self._client() as client:
                yield client
        except OAuthError as error:
            _log.warning("the OpenID provider refuses: %s", plain(error.error))
            raise Problem("oidc_refused", reason=plain(error.error)) from error
        except UntrustedError as error:
            _log.warning("an answer of the OpenID provider is not to be trusted: %s", error)
            raise Problem("oidc_untrusted", reason=error) from error
        except (RequestException, ValueError) as error:
            # ValueError: Authlib's for an answer of the token endpoint that is no object of JSON.
            _log.warning("the OpenID provider cannot be asked: %s", error)
            raise Problem("oidc_unreachable", name=self.settings.shown_name) from error
        finally:
            self._turns.release()

    def _client(self) -> Any:
        settings = self.settings
        client = cast("Any", OAuth2Session)(
            settings.client_id, self._secret, scope=" ".join(settings.scopes), code_challenge_method="S256",
            token_endpoint_auth_method="none" if self._secret is None else f"client_secret_{settings.client_authentication}",
            default_timeout=settings.timeout_seconds, leeway=0,
        )  # fmt: skip
        # What holds is in the configuration.
        closed_in(client, _Adapter(self._context))
        client.headers["Accept-Encoding"] = "identity"
        return client


def provider_of(settings: OidcSettings) -> Provider | None:
    """The provider that settings name; None where they name none. Raises ConfigurationError."""
    return Provider(settings) if settings.issuer else None


def plain(code: object) -> str:
    """An error code of OAuth as it can be shown: its characters are not this system's (RFC 6749, 4.1.2.1)."""
    return "".join(each for each in str(code)[:60] if each.isascii() and (each.isalnum() or each in "_-.")) or "?"
